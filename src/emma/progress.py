"""Progress, everywhere alike: what, how far, how fast, how long still.

A bar on a terminal; elsewhere a line now and then.
"""

from contextlib import ExitStack

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from emma import signs


class _Progress(Progress):
    """Where no terminal shows the bar, it is what the signs of life describe."""

    def __init__(self, *columns: ProgressColumn, console: Console, transient: bool) -> None:
        super().__init__(*columns, console=console, transient=transient, disable=not console.is_terminal)
        self._described = ExitStack()

    def start(self) -> None:
        super().start()
        if self.disable:
            self._described.enter_context(signs.doing(self.in_words))

    def stop(self) -> None:
        self._described.close()
        super().stop()

    def in_words(self) -> str:
        """The unfinished tasks: name, done/total, time left, note."""
        return "; ".join(_in_words(task) for task in self.tasks if not task.finished) or "finishing"


def progress_bar(*, transient: bool = False) -> Progress:
    """A bar on stderr, so that a verb's output can be piped. The field `note` may hold a short text."""
    return _Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
        transient=transient,
    )


def _in_words(task: Task) -> str:
    parts = [task.description]
    if task.total:
        parts.append(f"{task.completed:.0f}/{task.total:.0f}")
    if task.time_remaining:
        parts.append(f"about {signs.clock(task.time_remaining)} left")
    if note := task.fields.get("note"):
        parts.append(str(note))
    return ", ".join(parts)
