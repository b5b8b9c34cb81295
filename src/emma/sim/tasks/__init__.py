"""What the arm may be asked to do. A task is one module here, and nothing else knows which one is at work."""

from collections.abc import Mapping
from typing import Final

from emma.errors import EmmaError
from emma.sim.tasks.beside import BESIDE
from emma.sim.tasks.kind import TaskKind, Waypoint
from emma.sim.tasks.place import PLACE
from emma.sim.tasks.push import PUSH
from emma.sim.tasks.tidy import TIDY

TASKS: Final[Mapping[str, TaskKind]] = {kind.name: kind for kind in (PLACE, PUSH)}
# What only measurements of transfer ask for.
MORE: Final[Mapping[str, TaskKind]] = {kind.name: kind for kind in (BESIDE, TIDY)}
# What is meant where no task is named: bundles, datasets and workspaces from before there was a second one.
DEFAULT: Final = PLACE.name

__all__ = ["DEFAULT", "MORE", "TASKS", "TaskKind", "Waypoint", "load_task"]


def load_task(name: str) -> TaskKind:
    """The task called `name`. Raises EmmaError, naming those there are."""
    known = {**TASKS, **MORE}
    if name not in known:
        raise EmmaError(f"unknown task '{name}'", found=name, expected=f"one of {', '.join(TASKS)}")
    return known[name]
