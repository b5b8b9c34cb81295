"""Did the robot do it? Judged from the physics: which target holds the cube, let go and at rest."""

from dataclasses import dataclass

import numpy as np

from emma.sim.gl import mujoco
from emma.sim.scene import FINGERS, TARGET_HALF_WIDTH, TARGET_HEIGHT, TARGET_XY

# Below this speed (m/s, and rad/s times the cube's 0.02 m) the cube counts as at rest.
REST_SPEED = 0.01


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """placed_on: the target whose area holds the cube, let go or not; settled: at rest and touched by no finger;
    success: placed on the asked target and settled; cube_xyz: its centre, m."""

    placed_on: str | None
    success: bool
    settled: bool
    cube_xyz: tuple[float, float, float]


def judge(model: "mujoco.MjModel", data: "mujoco.MjData", target: str) -> Outcome:
    """The outcome for a task that asks for `target`."""
    joint = model.joint("cube")
    address, speed = joint.qposadr[0], data.qvel[joint.dofadr[0] : joint.dofadr[0] + 6]
    x, y, z = (float(v) for v in data.qpos[address : address + 3])
    placed_on = None
    for name, (cx, cy) in TARGET_XY.items():
        half = TARGET_HALF_WIDTH[name]
        if abs(x - cx) < half and abs(y - cy) < half and 0.0 < z < TARGET_HEIGHT:
            placed_on = name
    at_rest = np.linalg.norm(speed[:3]) < REST_SPEED and 0.02 * np.linalg.norm(speed[3:]) < REST_SPEED
    settled = bool(at_rest) and not _held(model, data)
    return Outcome(placed_on=placed_on, success=settled and placed_on == target, settled=settled, cube_xyz=(x, y, z))


def _held(model: "mujoco.MjModel", data: "mujoco.MjData") -> bool:
    cube = model.geom("cube").id
    fingers = {model.geom(name).id for name in FINGERS}
    pairs = data.contact.geom[: data.ncon]
    return any(cube in pair and not fingers.isdisjoint(pair) for pair in pairs.tolist())
