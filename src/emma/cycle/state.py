"""What the cycle does right now, in a file: for a terminal, a learner node, or whoever comes by."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from emma.errors import EmmaError
from emma.files import atomic_write_text
from emma.records import decode, encode

NAME = "state.json"
# Written at most so often, except when something begins or ends.
WRITE_S = 1.0


@dataclass(frozen=True, kw_only=True)
class State:
    """phase: idle, running, paused, failed; stage: the one at work; done, total: how far it is (0: not known);
    paused: why; outcome: how the latest cycle ended, in words; current: the current version; pid: who does it."""

    VERSION: ClassVar[int] = 1
    phase: str = "idle"
    cycle: int = 0
    stage: str = ""
    stages: tuple[str, ...] = ()
    done: int = 0
    total: int = 0
    note: str = ""
    paused: str = ""
    outcome: str = ""
    current: int = 0
    pid: int = 0
    updated: float = 0.0


class StateFile:
    """Keeps the state, writes it, and tells `changed`."""

    def __init__(self, folder: Path, changed: Callable[[State], None] = lambda _: None) -> None:
        self._file, self._changed, self._written = folder / NAME, changed, 0.0
        self.state = State(pid=os.getpid())
        for left in folder.glob(f".{NAME}.*.part"):  # of processes that were killed while writing
            left.unlink(missing_ok=True)

    def set(self, **changes: Any) -> None:
        """Take over the changes; a stage or phase that changes is written at once."""
        new = replace(self.state, **changes)
        big = (new.phase, new.stage, new.cycle, new.paused) != (
            self.state.phase,
            self.state.stage,
            self.state.cycle,
            self.state.paused,
        )
        self.state = replace(new, updated=time.time())
        self._changed(self.state)
        if big or time.monotonic() - self._written > WRITE_S:
            self._written = time.monotonic()
            atomic_write_text(self._file, encode(self.state) + "\n")


def read_state(folder: Path) -> State:
    """The state in a folder of cycles; idle if nothing is at work there, also if it was killed. A file that cannot be
    read, as of another version of emma, is in the note."""
    file = folder / NAME
    try:
        state = decode(State, file.read_bytes(), str(file))
    except OSError:
        return State()
    except EmmaError as error:
        return State(note=str(error))
    if state.phase in ("running", "paused") and not _alive(state.pid):
        return replace(state, phase="idle", paused="", note="was interrupted; start it again to go on")
    return state


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
