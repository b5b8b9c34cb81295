"""Work of hours in one folder: one process at a time."""

import fcntl
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
