"""How far a run is: a bar in a terminal, a line a job in a log."""

import sys
import time
from types import TracebackType
from typing import Any, Self

from emma.bench.generalisation.jobs import State
from emma.progress import progress_bar

# The bar's numbers are seconds of work as estimated; what is left of them is told as the work goes.
NAMES_SHOWN = 60


class Watch:
    """Called with every change of state. Without a terminal it prints a line for each job that ended."""

    def __init__(self, what: str) -> None:
        self._what, self._bar = what, progress_bar()
        self._task: Any = None
        self._done: set[str] | None = None
        self._began = time.monotonic()
        self._before = 0.0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def __call__(self, state: State) -> None:
        done_s = state.done_s()
        if self._task is None:
            self._task = self._bar.add_task(self._what, total=round(state.total_s), note="")
        note = f"{len(state.done)}/{len(state.jobs)} jobs; {', '.join(state.running)}"[:NAMES_SHOWN]
        self._bar.update(self._task, completed=round(done_s), note=note)
        if self._done is None:
            self._done, self._before = set(state.done), done_s
        for name in sorted(state.done - self._done):
            if self._bar.disable:
                print(f"[{len(state.done)}/{len(state.jobs)}] {name}{self._left(state, done_s)}", file=sys.stderr)
        self._done = set(state.done)

    def _left(self, state: State, done_s: float) -> str:
        gone, made = time.monotonic() - self._began, done_s - self._before
        if made <= 0 or state.total_s <= done_s:
            return ""
        return f"; about {in_words((state.total_s - done_s) * gone / made)} left"


def in_words(seconds: float) -> str:
    """`5.2 h`, `12 min` or `40 s`."""
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
