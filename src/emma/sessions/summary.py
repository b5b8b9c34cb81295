"""What a finished session says: the numbers, where the bags are, and how to look at them."""

import math
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from emma.robots.spec import RobotSpec
from emma.sessions.contact_sheet import contact_sheet
from emma.sessions.session import SessionResult

SHEET_EPISODES = 4
SECTIONS = (
    ("tick_lateness", "control tick late by"),
    ("tick", "control tick takes"),
    ("inference", "inference takes"),
    ("stamp_to_command", "camera stamp to command"),
)


def draw_sheet(result: SessionResult, spec: RobotSpec, path: Path) -> Path | None:
    """The contact sheet of the first recorded episodes; None if nothing was recorded."""
    bags = [
        (f'"{row.instruction}", {"success" if row.success else "failed"}', Path(row.bag))
        for row in result.rows
        if row.bag
    ]
    return contact_sheet(bags[:SHEET_EPISODES], spec, path) if bags else None


def show(result: SessionResult, *, bags: Path | None, sheet: Path | None, logs: Path | None = None) -> None:
    """Print the summary."""
    console = Console(highlight=False, soft_wrap=True)
    rows = result.rows
    seconds = sum(row.seconds for row in rows)
    console.print()
    console.print(f"[bold]{len(rows)} episodes[/bold], {seconds:.0f} s of robot time")
    console.print(f"success                  {result.success}")
    follow = result.instruction_following
    console.print(f"on the instructed target {'nothing was placed' if math.isnan(follow.value) else follow}")
    if result.timings:
        console.print(_timings(result.timings))
    if lost := sum(row.lost for row in rows):
        console.print(f"[red]{lost} messages lost[/red] while recording: see the logs")
    if bags is not None:
        newest = rows[-1].bag or str(bags)
        console.print(f"\nbags          {bags}  (one folder per episode: MCAP, episode.yaml)")
        console.print("to look       Foxglove: open the .mcap;  Rerun: rerun " + _quoted(next_mcap(Path(newest))))
        console.print(f"              or: emma episodes info {_quoted(newest)}")
    if sheet is not None:
        console.print(f"contact sheet {sheet}")
    if logs is not None:
        console.print(f"logs          {logs}")


def next_mcap(folder: Path) -> str:
    """The MCAP file of an episode's folder."""
    return str(next(iter(sorted(folder.glob("*.mcap"))), folder))


def _timings(timings: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2), title_justify="left")
    for column in ("milliseconds", "p50", "p95", "p99", "largest"):
        table.add_column(column, justify="left" if column == "milliseconds" else "right")
    for section, title in SECTIONS:
        if f"{section}_p50_ms" in timings:
            table.add_row(title, *(f"{timings[f'{section}_{p}_ms']:.1f}" for p in ("p50", "p95", "p99", "max")))
    missed, ticks = timings.get("missed_ticks", 0), timings.get("ticks", 0)
    table.add_row("control ticks missed", f"{missed:.0f} of {ticks:.0f}")
    return table


def _quoted(path: str) -> str:
    return f"'{path}'" if " " in path else path
