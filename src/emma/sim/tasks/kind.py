"""What a kind of task is: what may be said, how the expert does it, and where the cube is when it is done."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from emma.errors import EmmaError
from emma.sim.scene import CUBE_X, CUBE_Y, TARGETS

Words = Mapping[str, tuple[str, ...]]
# x, y (m) and yaw (rad) of the cube at the start.
CubePose = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Waypoint:
    """Where the tool goes next: position (3,) m, finger opening m, time to get there s; near: close to an object."""

    position: np.ndarray
    opening: float
    seconds: float
    near: bool = False


@dataclass(frozen=True, kw_only=True)
class TaskKind:
    """One kind of task. Each is about the scene's two targets (`TARGETS`), so seeds choose alike in all of them.

    train, held_out: target -> what a person may say to ask for it, in training and to test understanding.
    plan: (target, cube's pose, tool's home (3,) m, generator) -> the expert's waypoints, the last one at home.
    where: cube's pose (7,), x, y, z in m and quaternion w, x, y, z -> the target at which it is as the task wants it,
    or None. A task is done when that is the target asked for, the cube rests and no finger touches it.
    cube_x, cube_y: m, where the cube starts.
    """

    name: str
    train: Words
    held_out: Words
    plan: Callable[[str, CubePose, np.ndarray, np.random.Generator], list[Waypoint]]
    where: Callable[[np.ndarray], str | None]
    cube_x: tuple[float, float] = CUBE_X
    cube_y: tuple[float, float] = CUBE_Y

    def __post_init__(self) -> None:
        if tuple(self.train) != TARGETS or tuple(self.held_out) != TARGETS:
            raise ValueError(f"{self.name} needs words for {', '.join(TARGETS)} in both splits")

    def phrases(self, target: str, *, held_out: bool = False) -> tuple[str, ...]:
        """The phrasings that ask for `target`. Raises EmmaError for a target there is not."""
        book = self.held_out if held_out else self.train
        if target not in book:
            raise EmmaError(f"unknown target '{target}'", found=target, expected=f"one of {', '.join(book)}")
        return book[target]

    def choose(self, target: str, rng: np.random.Generator, *, held_out: bool = False) -> str:
        """One of `phrases`, at random."""
        options = self.phrases(target, held_out=held_out)
        return options[int(rng.integers(len(options)))]

    def target_of(self, instruction: str) -> str | None:
        """The target that an instruction of this task asks for, or None for any other text."""
        for book in (self.train, self.held_out):
            for target, options in book.items():
                if instruction in options:
                    return target
        return None
