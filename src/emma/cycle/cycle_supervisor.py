"""Beside a robot: starts `emma improve` when there is something new, and says when another version shall run.

It talks to the cycle through files alone, so it also sees what is started or rolled back in a terminal.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from emma.bags.episode import EPISODE_NAME
from emma.cycle.config import ImproveConfig
from emma.cycle.pause import PAUSE_FILE
from emma.cycle.ready import require_ready
from emma.cycle.state import State, read_state
from emma.cycle.versions import Versions
from emma.errors import EmmaError
from emma.interrupts import STOP_WITH_PARENT

LOG = "learner.log"
# Of it, for an error that ended a cycle.
LAST_LINES = 6
# Pauses of an attendant begin so: one that was killed must not leave the work standing still for ever.
MINE = "learner: "


class Attendant:
    """One folder of cycles. `words`: the options of `emma improve` that led to `config`."""

    def __init__(self, config: ImproveConfig, words: Sequence[str]) -> None:
        self.config = config
        self._words = [sys.executable, "-m", "emma", "improve", *words]
        self._child: subprocess.Popen[bytes] | None = None
        self._versions = Versions(config.root / "versions", config.keep)
        self._stopped, self._log_begin = False, 0
        self._offered = self._versions.current
        self._newest = 0.0
        self.go_on()

    @property
    def running(self) -> bool:
        """Whether a cycle is at work, whoever started it."""
        mine = self._child is not None and self._child.poll() is None
        return mine or self.state().phase in ("running", "paused")

    def state(self) -> State:
        return read_state(self.config.root)

    def start(self) -> None:
        """Raises EmmaError if a cycle is at work already, or cannot begin."""
        if self.running:
            raise EmmaError("a cycle is at work already", found=self.state().stage, expected="one at a time")
        require_ready(self.config)
        self.config.root.mkdir(parents=True, exist_ok=True)
        self._newest = self._newest_episode()
        self._stopped = False
        log_file = self.config.root / LOG
        self._log_begin = len(log_file.read_text(errors="replace").splitlines()) if log_file.is_file() else 0
        with log_file.open("ab") as log:
            # A session of its own: Ctrl+C in the terminal of a launch file is the node's to pass on. Its standard input
            # is a pipe that closes when this process dies, by whatever.
            self._child = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, STOP_WITH_PARENT: "1"},
                start_new_session=True,
            )

    def start_if_new(self) -> bool:
        """Start a cycle if an episode was finished or judged since the last one was started. Cheap: reads no bag."""
        newest = self._newest_episode()
        if self.running or newest <= self._newest:
            return False
        # Also if it cannot begin: that is said once, not every time.
        self._newest = newest
        self.start()
        return True

    def failure(self) -> str:
        """Why the cycle that this started ended by itself with an error, once; "" if it did not."""
        child, log = self._child, self.config.root / LOG
        if child is None or child.poll() is None:
            return ""
        self._child = None
        if child.returncode == 0 or self._stopped:
            return ""
        lines = [line for line in log.read_text(errors="replace").splitlines()[self._log_begin :] if line.strip()]
        return "\n".join(lines[-LAST_LINES:]) or f"exit code {child.returncode}, see {log}"

    def stop(self, patience_s: float = 10.0) -> None:
        """Interrupt the cycle that this started; it goes on there the next time. It may end later than this returns."""
        if self._child is not None and self._child.poll() is None:
            self._stopped = True
            self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(patience_s)
            except subprocess.TimeoutExpired:
                return

    def pause(self, why: str) -> None:
        """Let the work stand still until `go_on`; a pause that was asked for elsewhere is not touched."""
        file = self.config.root / PAUSE_FILE
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{MINE}{why}\n")

    def go_on(self) -> None:
        """End a pause that an attendant began."""
        file = self.config.root / PAUSE_FILE
        if file.is_file() and file.read_text().startswith(MINE):
            file.unlink(missing_ok=True)

    def next_version(self) -> Path | None:
        """The bundle that shall run from now on, once each time that another version has become current."""
        current = self._versions.current
        if current in (0, self._offered):
            return None
        self._offered = current
        return self._versions.path(current)

    def roll_back(self) -> str:
        """The version before becomes current; `next_version` then tells it."""
        before, after = self._versions.roll_back()
        return f"version {after} is current again, {before} no longer"

    def version_of(self, bundle: str) -> int:
        """Number of the version that lies at `bundle`, 0 for any other bundle."""
        path = Path(os.path.realpath(bundle))
        same = path.parent == Path(os.path.realpath(self._versions.folder))
        return int(path.name) if same and path.name.isdigit() else 0

    def _newest_episode(self) -> float:
        newest = 0.0
        for root in self.config.bags:
            for file in Path(root).rglob(EPISODE_NAME):
                try:
                    newest = max(newest, file.stat().st_mtime)
                except OSError:  # removed meanwhile
                    continue
        return newest
