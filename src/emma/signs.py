"""Signs of life: a line on stderr soon after the start and whenever nothing was printed for a while.

What is at work describes itself with `doing`; `progress_bar` does so by itself where no terminal shows it. Standard
library only: it runs while heavy libraries are still being imported.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

# Silence until the first line of a process, and until the next ones.
FIRST_S, EVERY_S = 3.0, 20.0
LOOK_S = 0.5

Description = Callable[[], str]


class _Noticed:
    """A text stream that remembers when something was last written to it."""

    def __init__(self, stream: TextIO, life: "_Life") -> None:
        self._stream, self._life = stream, life

    def write(self, text: str) -> int:
        self._life.heard()
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Life:
    def __init__(self, title: str, first_s: float, every_s: float) -> None:
        self.title = title
        self._began_s = self._heard_s = time.monotonic()
        self._patience_s, self._every_s = first_s, every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="signs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()

    def heard(self) -> None:
        self._heard_s, self._patience_s = time.monotonic(), self._every_s

    def _run(self) -> None:
        while not self._ended.wait(LOOK_S):
            if _lives[-1] is self and time.monotonic() - self._heard_s >= self._patience_s:
                self.heard()
                with suppress(Exception):
                    print(self._line(), file=sys.stderr, flush=True)

    def _line(self) -> str:
        text = _doing[-1]() if _doing else "starting"
        return f"{self.title}: {text} ({clock(time.monotonic() - self._began_s)} so far)"


# What is at work, the innermost last; and who prints: the last, None for silence.
_doing: list[Description] = []
_lives: list[_Life | None] = [None]


@contextmanager
def of_life(title: str, first_s: float = FIRST_S, every_s: float = EVERY_S) -> Iterator[None]:
    """Print a line that begins with `title` after `first_s` without output, then after `every_s` without any.

    Of blocks in blocks the innermost prints; one with the title of the block around it changes nothing.
    """
    around = _lives[-1]
    if around is not None and around.title == title:
        yield
        return
    life = _Life(title, first_s, every_s)
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Noticed(before[0], life), _Noticed(before[1], life)
    _lives.append(life)
    life.start()
    try:
        yield
    finally:
        life.stop()
        _lives.remove(life)
        sys.stdout, sys.stderr = before


@contextmanager
def quiet() -> Iterator[None]:
    """No signs during the block, which gives its own."""
    _lives.append(None)
    try:
        yield
    finally:
        _lives.pop()


@contextmanager
def doing(what: str | Description) -> Iterator[None]:
    """Name the work of the block, for the next sign of life."""
    description = what if callable(what) else lambda: what
    _doing.append(description)
    try:
        yield
    finally:
        _doing.remove(description)


def clock(seconds: float) -> str:
    """4 s, 2:05 min, 1:02:05 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d} h"
