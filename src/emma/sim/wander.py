"""Short clips of aimless motion among varied objects: what a generator learns to draw from, never the task itself."""

from dataclasses import dataclass

import numpy as np

from emma.errors import EmmaError
from emma.gl import mujoco
from emma.sim.arm import DeskArm
from emma.sim.demonstrations import Demonstration
from emma.sim.kinematics import tool_down
from emma.sim.scene import GRIPPER_OPEN, TARGET_XY, TARGETS
from emma.sim.simulator import observation

INSTRUCTION = "move about"
_WANDER = 5

# Where the tool wanders, m, and how far it travels within one clip, m.
TOOL_LOW, TOOL_HIGH = np.array([0.16, -0.28, 0.02]), np.array([0.40, 0.28, 0.26])
TRAVEL = 0.12
TILT = 0.25
# Half edges of the block, m, and how far bin and plate stand from their places, m. The task's own are 0.02 and 0.
BLOCK_HALF = (0.014, 0.026)
MOVED = 0.03
# Share of clips with the block held between the fingers, and of clips with bin and plate in each other's place.
HELD, SWAPPED = 0.35, 0.2
# How far the fingers' target lies inside a held block, m.
HOLD = 0.004
_TRIES = 20


@dataclass(frozen=True, kw_only=True)
class _Path:
    """Joint targets (7,) at the start and the end of a clip."""

    start: np.ndarray
    end: np.ndarray


class Objects:
    """Changes block, bin and plate of one simulator's model, always from their first values."""

    def __init__(self, sim: DeskArm) -> None:
        self._model = sim.model
        self._block = sim.model.geom("cube").id
        self._fixtures = {name: sim.model.body(name).id for name in TARGET_XY}
        self._size = sim.model.geom_size[self._block].copy()
        self._places = {name: sim.model.body_pos[index].copy() for name, index in self._fixtures.items()}

    def vary(self, rng: np.random.Generator) -> np.ndarray:
        """New sizes and places; returns the block's half edges (3,) m."""
        places = dict(self._places)
        if rng.random() < SWAPPED:
            places["bin"], places["plate"] = places["plate"], places["bin"]
        for name, index in self._fixtures.items():
            self._model.body_pos[index] = places[name] + np.append(rng.uniform(-MOVED, MOVED, 2), 0.0)
        self._model.geom_size[self._block] = rng.uniform(*BLOCK_HALF, 3)
        return self._model.geom_size[self._block].copy()

    def restore(self) -> None:
        """The task's own objects again."""
        self._model.geom_size[self._block] = self._size
        for name, index in self._fixtures.items():
            self._model.body_pos[index] = self._places[name]


def wander(sim: DeskArm, seed: int, frames: int, fps: int) -> Demonstration:
    """A clip of `frames` frames at `fps`: the tool drifts from one random pose to another near it.

    The block lies anywhere or is held. The action is the joint target of each frame's moment; all follows from `seed`.
    """
    rng = np.random.default_rng([seed, _WANDER])
    objects = Objects(sim)
    try:
        half = objects.vary(rng)
        sim.reset(seed)
        path = _path(sim, rng)
        held = rng.random() < HELD
        if held:
            path.start[6] = path.end[6] = min(half[1], GRIPPER_OPEN)
        sim.place(path.start, _block(sim, rng, path, half, held))
        squeeze = np.append(np.zeros(6), HOLD if held else 0.0)
        ticks = frames * round(sim.spec.control_rate_hz / fps)
        every = ticks // frames
        observations, actions = [], []
        for tick in range(ticks):
            target = path.start + (path.end - path.start) * (tick / max(1, ticks - 1)) - squeeze
            if tick % every == 0:
                observations.append(observation(sim))
                actions.append(target.astype(np.float32))
            sim.step(target)
    finally:
        objects.restore()
    action = np.stack(actions)
    return Demonstration(
        observations=tuple(observations),
        action=action,
        executed=action,
        instruction=INSTRUCTION,
        target="none",
        seed=seed,
        domain=sim.domain,
    )


def _path(sim: DeskArm, rng: np.random.Generator) -> _Path:
    """Two reachable poses near each other."""
    for _ in range(_TRIES):
        start = rng.uniform(TOOL_LOW, TOOL_HIGH)
        end = np.clip(start + rng.uniform(-TRAVEL, TRAVEL, 3), TOOL_LOW, TOOL_HIGH)
        tilt = _small_rotation(rng.uniform(-TILT, TILT, 3))
        yaw = rng.uniform(-0.5, 0.5)
        try:
            near = sim.kinematics.inverse(start, tilt @ tool_down(yaw), sim.home[:6])
            far = sim.kinematics.inverse(end, tilt @ tool_down(yaw + rng.uniform(-0.2, 0.2)), near)
        except EmmaError:
            continue
        opening = rng.uniform(0.0, GRIPPER_OPEN, 2)
        return _Path(start=np.append(near, opening[0]), end=np.append(far, opening[1]))
    return _Path(start=sim.home.copy(), end=sim.home.copy())


def _block(sim: DeskArm, rng: np.random.Generator, path: _Path, half: np.ndarray, held: bool) -> np.ndarray:
    """(7,) where the block is: between the fingers, beneath the tool, in a target or anywhere on the table."""
    tool, facing = sim.kinematics.forward(path.start[:6])
    if held:
        turn = np.zeros(4)
        mujoco.mju_mat2Quat(turn, facing.ravel())
        return np.concatenate([tool, turn])
    kind = rng.integers(4)
    x, y = rng.uniform([0.16, -0.30], [0.40, 0.30])
    if kind == 0:
        x, y = TARGET_XY[TARGETS[rng.integers(2)]] + rng.uniform(-0.02, 0.02, 2)
    elif kind == 1:
        x, y = tool[:2] + rng.uniform(-0.05, 0.05, 2)
    yaw = rng.uniform(-np.pi, np.pi)
    height = half[2] + (0.01 if kind == 0 else 0.0)
    return np.array([x, y, height, np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)])


def _small_rotation(turn: np.ndarray) -> np.ndarray:
    """(3, 3) rotation by the vector `turn` (rad)."""
    quaternion, matrix = np.zeros(4), np.zeros(9)
    angle = float(np.linalg.norm(turn))
    mujoco.mju_axisAngle2Quat(quaternion, turn / max(angle, 1e-9), angle)
    mujoco.mju_quat2Mat(matrix, quaternion)
    return matrix.reshape(3, 3)
