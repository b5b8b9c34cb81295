"""The first task: pick the cube up and put it into the bin or onto the plate."""

from typing import Final

import numpy as np

from emma.sim.scene import CUBE_HALF, GRIPPER_CLOSED, GRIPPER_OPEN, TARGET_HALF_WIDTH, TARGET_HEIGHT, TARGET_XY
from emma.sim.tasks.kind import CubePose, TaskKind, Waypoint

TRAIN: Final[dict[str, tuple[str, ...]]] = {
    "bin": (
        "put the cube in the bin",
        "place the cube in the bin",
        "drop the cube into the bin",
        "move the cube to the bin",
        "pick up the cube and put it in the bin",
        "the cube goes in the bin",
        "take the cube and drop it in the bin",
        "put the block into the bin",
    ),
    "plate": (
        "put the cube on the plate",
        "place the cube on the plate",
        "set the cube down on the plate",
        "move the cube to the plate",
        "pick up the cube and put it on the plate",
        "the cube goes on the plate",
        "take the cube and set it on the plate",
        "put the block onto the plate",
    ),
}
HELD_OUT: Final[dict[str, tuple[str, ...]]] = {
    "bin": ("grab the cube and drop it into the bin", "please put the block in the bin"),
    "plate": ("grab the cube and set it down on the plate", "please put the block on the plate"),
}
# Height of the tool when it lets go, m: over the bin's floor, and just above the plate.
RELEASE_HEIGHT: Final = {"bin": 0.045, "plate": 0.030}


def plan(target: str, cube_pose: CubePose, home: np.ndarray, rng: np.random.Generator) -> list[Waypoint]:
    """From the start to the placed cube and home again, a little different for every seed."""

    def vary(seconds: float) -> float:
        return seconds * rng.uniform(0.92, 1.08)

    up = np.array([0.0, 0.0, 1.0])
    cube = np.array([*cube_pose[:2], 0.0])
    place = np.array([*TARGET_XY[target], 0.0])
    place[:2] += rng.uniform(-0.008, 0.008, 2)
    above = (0.11 + rng.uniform(-0.01, 0.01)) * up
    carry = (0.14 + rng.uniform(-0.01, 0.01)) * up
    grasp = cube + (CUBE_HALF + rng.uniform(-0.002, 0.002)) * up
    release = place + RELEASE_HEIGHT[target] * up
    opened, closed = GRIPPER_OPEN, GRIPPER_CLOSED
    return [
        Waypoint(position=cube + above, opening=opened, seconds=vary(1.1)),
        Waypoint(position=grasp, opening=opened, seconds=vary(0.9), near=True),
        Waypoint(position=grasp, opening=closed, seconds=0.4, near=True),
        Waypoint(position=cube + carry, opening=closed, seconds=vary(0.8)),
        Waypoint(position=place + carry, opening=closed, seconds=vary(1.3)),
        Waypoint(position=release, opening=closed, seconds=vary(0.8), near=True),
        Waypoint(position=release, opening=opened, seconds=0.3, near=True),
        Waypoint(position=place + carry, opening=opened, seconds=vary(0.7)),
        Waypoint(position=home, opening=opened, seconds=vary(1.0)),
        Waypoint(position=home, opening=opened, seconds=0.3),
    ]


def where(cube: np.ndarray) -> str | None:
    """The target whose area holds the cube's centre, near its ground."""
    x, y, z = cube[:3]
    for name, (cx, cy) in TARGET_XY.items():
        half = TARGET_HALF_WIDTH[name]
        if abs(x - cx) < half and abs(y - cy) < half and 0.0 < z < TARGET_HEIGHT:
            return name
    return None


PLACE: Final = TaskKind(name="place", train=TRAIN, held_out=HELD_OUT, plan=plan, where=where)
