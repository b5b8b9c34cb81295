"""Work of hours in one folder: one process at a time, and an end that saves what it can."""

import fcntl
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emma.errors import EmmaError

LOCK = ".lock"


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Hold the folder `root`, until the block ends or the process dies. Raises EmmaError if another process has it."""
    with (root / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise EmmaError(
                f"another process is at work in {root} already",
                found="a locked folder",
                expected="one at a time",
                fix="wait for it, end it, or choose another folder",
            ) from None
        yield


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as Ctrl+C does. In the main thread only; elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
