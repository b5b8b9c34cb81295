"""Did the robot do it? Judged from the physics: where the cube is, let go and at rest."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from emma.gl import mujoco
from emma.sim.scene import FINGERS

# Below this speed (m/s, and rad/s times the cube's 0.02 m) the cube counts as at rest.
REST_SPEED = 0.01


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """placed_on: the target at which the cube is as the task wants it, let go or not; settled: at rest and touched by
    no finger; success: at the asked target and settled; cube_xyz: its centre, m."""

    placed_on: str | None
    success: bool
    settled: bool
    cube_xyz: tuple[float, float, float]


def judge(
    model: "mujoco.MjModel", data: "mujoco.MjData", where: Callable[[np.ndarray], str | None], target: str
) -> Outcome:
    """The outcome for a task that asks for `target`; where: `emma.sim.tasks.TaskKind.where`."""
    joint = model.joint("cube")
    address, speed = joint.qposadr[0], data.qvel[joint.dofadr[0] : joint.dofadr[0] + 6]
    cube = data.qpos[address : address + 7]
    x, y, z = (float(v) for v in cube[:3])
    placed_on = where(cube)
    at_rest = np.linalg.norm(speed[:3]) < REST_SPEED and 0.02 * np.linalg.norm(speed[3:]) < REST_SPEED
    settled = bool(at_rest) and not _held(model, data)
    return Outcome(placed_on=placed_on, success=settled and placed_on == target, settled=settled, cube_xyz=(x, y, z))


def _held(model: "mujoco.MjModel", data: "mujoco.MjData") -> bool:
    cube = model.geom("cube").id
    fingers = {model.geom(name).id for name in FINGERS}
    pairs = data.contact.geom[: data.ncon]
    return any(cube in pair and not fingers.isdisjoint(pair) for pair in pairs.tolist())
