"""Pick the cube up and put it down beside the bin or the plate, nearer to the edge of the table: a place of its own."""

from typing import Final

import numpy as np

from emma.sim.scene import CUBE_HALF, TARGET_XY
from emma.sim.tasks.kind import CubePose, TaskKind, Waypoint
from emma.sim.tasks.place import plan as place_plan

TRAIN: Final[dict[str, tuple[str, ...]]] = {
    "bin": ("put the cube beside the bin", "set the cube down in front of the bin", "leave the cube beside the bin"),
    "plate": (
        "put the cube beside the plate",
        "set the cube down in front of the plate",
        "leave the cube beside the plate",
    ),
}
HELD_OUT: Final[dict[str, tuple[str, ...]]] = {
    "bin": ("please set the block down beside the bin",),
    "plate": ("please set the block down beside the plate",),
}
# From a target's centre to the spot, m, and half of what counts as on it.
OFFSET: Final = {"bin": (0.12, 0.03), "plate": (0.12, -0.03)}
SPOT_HALF: Final = 0.04
# A cube that lies on the table has its centre below this, m.
LYING_HEIGHT: Final = 0.0235
# Height of the tool as it lets go, m.
RELEASE_HEIGHT: Final = CUBE_HALF + 0.004


def spot(target: str) -> np.ndarray:
    """(2,) m: the middle of the place beside a target."""
    return np.array(TARGET_XY[target]) + OFFSET[target]


def plan(target: str, cube_pose: CubePose, home: np.ndarray, rng: np.random.Generator) -> list[Waypoint]:
    """As placing, with the spot for the target."""
    moved = []
    for waypoint in place_plan(target, cube_pose, home, rng):
        position = waypoint.position.copy()
        if np.linalg.norm(position[:2] - TARGET_XY[target]) < 0.02:
            position[:2] += OFFSET[target]
            if waypoint.near:
                position[2] = RELEASE_HEIGHT
        moved.append(
            Waypoint(position=position, opening=waypoint.opening, seconds=waypoint.seconds, near=waypoint.near)
        )
    return moved


def where(cube: np.ndarray) -> str | None:
    """The target beside which the cube lies on the table."""
    for target in TARGET_XY:
        if np.abs(cube[:2] - spot(target)).max() < SPOT_HALF and 0.0 < cube[2] < LYING_HEIGHT:
            return target
    return None


BESIDE: Final = TaskKind(name="beside", train=TRAIN, held_out=HELD_OUT, plan=plan, where=where)
