"""The second task: push the cube over the table until it lies next to the bin or the plate, without picking it up.

The same scene, so every appearance shows it as it is. Closed fingers go down on the far side of the cube and push it
sideways; a bin that is run into stops the cube, a plate hardly does.
"""

from typing import Final

import numpy as np

from emma.sim.scene import BIN_HALF, CUBE_HALF, GRIPPER_CLOSED, GRIPPER_OPEN, PLATE_RADIUS, TARGET_XY
from emma.sim.tasks.kind import CubePose, TaskKind, Waypoint

TRAIN: Final[dict[str, tuple[str, ...]]] = {
    "bin": (
        "push the cube to the bin",
        "push the cube next to the bin",
        "slide the cube over to the bin",
        "slide the cube up to the bin",
        "push the cube across the table to the bin",
        "the cube shall lie next to the bin",
        "move the cube to the bin without lifting it",
        "push the block to the bin",
    ),
    "plate": (
        "push the cube to the plate",
        "push the cube next to the plate",
        "slide the cube over to the plate",
        "slide the cube up to the plate",
        "push the cube across the table to the plate",
        "the cube shall lie next to the plate",
        "move the cube to the plate without lifting it",
        "push the block to the plate",
    ),
}
HELD_OUT: Final[dict[str, tuple[str, ...]]] = {
    "bin": ("nudge the cube over to the bin", "please slide the block next to the bin"),
    "plate": ("nudge the cube over to the plate", "please slide the block next to the plate"),
}
# Nearer than this to its outline the cube lies next to a target, m: half of its own width.
NEXT_TO: Final = CUBE_HALF
# A cube that lies on the table has its centre below this height, m: in the bin and on the plate it is at 0.026.
LYING_HEIGHT: Final = 0.0235
# What the expert leaves between cube and target, m.
GAP: Final = 0.008
# Half of what the closed fingers measure along the push, m.
FINGERS_HALF: Final = 0.010
# From the cube's centre to where the fingers come down, m: clear of a turned cube by 1 cm and what noise adds.
BEHIND: Final = 0.048
# Height of the tool as it pushes, m: fingertips 7 mm over the table. With this much friction a cube that is pushed
# above 17 mm tips over.
PUSH_HEIGHT: Final = 0.016
# Mean speed of the push, m/s.
PUSH_SPEED: Final = 0.085


def plan(target: str, cube_pose: CubePose, home: np.ndarray, rng: np.random.Generator) -> list[Waypoint]:
    """Down behind the cube, straight along y until it lies next to the target, back off and home again."""

    def vary(seconds: float) -> float:
        return seconds * rng.uniform(0.92, 1.08)

    x, y, _ = cube_pose
    forward = np.array([0.0, np.sign(TARGET_XY[target][1]), 0.0])
    up = np.array([0.0, 0.0, 1.0])
    tool_x, tool_z = x + rng.uniform(-0.003, 0.003), PUSH_HEIGHT + rng.uniform(-0.002, 0.002)
    rest = resting_y(target, x, GAP + rng.uniform(-0.003, 0.003))
    down = np.array([tool_x, y, tool_z]) - (BEHIND + rng.uniform(0.0, 0.008)) * forward
    stop = np.array([tool_x, rest, tool_z]) - (CUBE_HALF + FINGERS_HALF) * forward
    back = stop - 0.04 * forward
    above = (0.09 + rng.uniform(-0.01, 0.01)) * up
    push = float(np.linalg.norm(stop - down)) / PUSH_SPEED
    opened, closed = GRIPPER_OPEN, GRIPPER_CLOSED
    return [
        Waypoint(position=down + above, opening=closed, seconds=vary(1.2)),
        Waypoint(position=down, opening=closed, seconds=vary(0.8), near=True),
        Waypoint(position=stop, opening=closed, seconds=vary(0.4 + push), near=True),
        Waypoint(position=stop, opening=closed, seconds=0.2, near=True),
        Waypoint(position=back, opening=closed, seconds=vary(0.5), near=True),
        Waypoint(position=back + above, opening=closed, seconds=vary(0.7)),
        Waypoint(position=home, opening=opened, seconds=vary(1.0)),
        Waypoint(position=home, opening=opened, seconds=0.3),
    ]


def resting_y(target: str, x: float, gap: float) -> float:
    """y of the centre of a cube that faces along the table's axes, at an `x` where it meets `target`, `gap` away, m."""
    cx, cy = TARGET_XY[target]
    aside = max(0.0, abs(x - cx) - CUBE_HALF)
    reach = BIN_HALF + gap if target == "bin" else np.sqrt((PLATE_RADIUS + gap) ** 2 - aside**2)
    return float(cy - np.sign(cy) * (reach + CUBE_HALF))


def where(cube: np.ndarray) -> str | None:
    """The target next to which the cube lies on the table."""
    if not 0.0 < cube[2] < LYING_HEIGHT:
        return None
    return next((name for name in TARGET_XY if gap(name, cube) < NEXT_TO), None)


def gap(target: str, cube: np.ndarray) -> float:
    """Metres between the outlines of a cube that lies on the table, pose (7,), and a target; 0 where they overlap."""
    facing = _facing(cube[3:])
    # The target's centre as the cube sees it, and the other way round.
    seen = facing.T @ (np.asarray(TARGET_XY[target]) - cube[:2])
    if target == "plate":
        return max(0.0, float(_beyond(seen, CUBE_HALF)) - PLATE_RADIUS)
    corners = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    of_cube = CUBE_HALF * corners @ facing.T - facing @ seen
    of_bin = BIN_HALF * corners @ facing + seen
    return float(min(_beyond(of_cube, BIN_HALF).min(), _beyond(of_bin, CUBE_HALF).min()))


def _beyond(points: np.ndarray, half: float) -> np.ndarray:
    """Distance of points (..., 2) from a square about the origin, 0 inside."""
    return np.asarray(np.linalg.norm(np.maximum(np.abs(points) - half, 0.0), axis=-1))


def _facing(quaternion: np.ndarray) -> np.ndarray:
    """(2, 2) rotation on the table of a cube that lies on any of its faces."""
    w, x, y, z = quaternion
    axes = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)],
            [2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)],
            [2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    level = axes[np.argmin(np.abs(axes[:, 2]))]
    cos, sin = level[:2] / np.linalg.norm(level[:2])
    return np.array([[cos, -sin], [sin, cos]])


# Narrower than for placing: between the cube and the other target there must be room for the fingers.
PUSH: Final = TaskKind(
    name="push", train=TRAIN, held_out=HELD_OUT, plan=plan, where=where, cube_x=(0.21, 0.34), cube_y=(-0.07, 0.07)
)
