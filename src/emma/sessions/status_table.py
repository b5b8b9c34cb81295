"""The status table of a running session: which episode, what it shall do, how it went so far, how long things take."""

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from emma.control.policy_state import POLICY_STATE, PolicyState
from emma.recording.recorder_state import RECORDER_STATE, RecorderState
from emma.ros.client import RosClient
from emma.sessions.session import Row, Session

LAST = 8


def line(row: Row, number: int, total: int) -> str:
    """One finished episode in one line, for logs."""
    where = f"on the {row.placed_on}" if row.placed_on else "not placed"
    return (
        f"episode {number}/{total}: {'success' if row.success else 'failed '}  {row.seconds:5.1f} s  "
        f'{where}  "{row.instruction}"'
    )


class SessionView:
    """Draws the present state whenever it is asked to; knows nothing but what nodes and session say."""

    def __init__(self, client: RosClient, session: Session, total: int) -> None:
        self._client, self._session, self._total = client, session, total

    def __rich__(self) -> RenderableType:
        session, rows = self._session, self._session.rows
        head = Table.grid(padding=(0, 2))
        head.add_row("episode", f"{min(len(rows) + 1, self._total)} of {self._total}", session.phase)
        policy, recorder = self._client.heard(POLICY_STATE), self._client.heard(RECORDER_STATE)
        if session.current is not None:
            instruction = (policy.instruction if policy else "") or (recorder.instruction if recorder else "")
            head.add_row(
                "instruction", instruction, f"appearance {session.current.domain}" if session.current.domain else ""
            )
        result = session.success
        head.add_row("success", f"{result.successes} of {result.trials}" if result.trials else "-", "")
        for name, text, note in _lines(policy, recorder):
            head.add_row(name, text, note)
        bar = ProgressBar(total=self._total, completed=len(rows), width=60)
        return Group(bar, head, self._table(rows[-LAST:]))

    def _table(self, rows: list[Row]) -> Table:
        table = Table(box=None, padding=(0, 2))
        for column in ("seed", "instruction", "cube", "time", ""):
            table.add_column(column)
        for row in rows:
            mark = Text("success", "green") if row.success else Text("failed", "red")
            table.add_row(str(row.seed), row.instruction, row.placed_on or "-", f"{row.seconds:.1f} s", mark)
        return table


def _lines(policy: PolicyState | None, recorder: RecorderState | None) -> list[tuple[str, str, str]]:
    lines = []
    if policy is not None:
        lines.append(("policy", policy.mode.value, policy.reason or policy.problem))
        timings = policy.timings
        for section, title in (("tick_lateness", "tick late by"), ("inference", "inference")):
            if f"{section}_p50_ms" in timings:
                values = [f"{p} {timings[f'{section}_{p}_ms']:.1f} ms" for p in ("p50", "p95", "p99")]
                missed = f"{timings.get('missed_ticks', 0):.0f} of {timings.get('ticks', 0):.0f} missed"
                lines.append((title, ", ".join(values), missed if section == "tick_lateness" else ""))
    if recorder is not None:
        lines.append(("recorder", recorder.text, ""))
    return lines
