"""What the arm may be asked to do. A task is one module here, and nothing else knows which one is at work."""

from collections.abc import Mapping
from typing import Final

from emma.errors import EmmaError
from emma.sim.tasks.kind import TaskKind, Waypoint
from emma.sim.tasks.place import PLACE
from emma.sim.tasks.push import PUSH

TASKS: Final[Mapping[str, TaskKind]] = {kind.name: kind for kind in (PLACE, PUSH)}
# What is meant where no task is named: bundles, datasets and workspaces from before there was a second one.
DEFAULT: Final = PLACE.name

__all__ = ["DEFAULT", "TASKS", "TaskKind", "Waypoint", "load_task"]


def load_task(name: str) -> TaskKind:
    """The task called `name`. Raises EmmaError, naming those there are."""
    if name not in TASKS:
        raise EmmaError(f"unknown task '{name}'", found=name, expected=f"one of {', '.join(TASKS)}")
    return TASKS[name]
