"""Forward and inverse kinematics of any robot whose `robot.yaml` names a URDF or MJCF, on MuJoCo's Jacobians."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emma.arrays import Array
from emma.errors import EmmaError
from emma.gl import mujoco
from emma.robots.kinematic_model import load_bare, model_file
from emma.robots.spec import RobotSpec, Tool

# Damping of the least squares (m^2), weight of a radian against a metre, largest joint change an iteration (rad, m).
DAMPING = 1e-4
ROTATION_WEIGHT = 0.3
MAX_CHANGE = 0.3
TOLERANCE = 1e-6
MAX_ITERATIONS = 200
# Below this residual (m, or rad x ROTATION_WEIGHT) a pose counts as reached even if the last digits did not converge.
REACHED = 1e-4


@dataclass(frozen=True, kw_only=True)
class Solution:
    """What inverse kinematics found. joints: (J,) in the spec's order and units. The errors are the largest of all
    tools: the distance (m) and the angle (rad) between the wanted pose and the nearest one that was found."""

    joints: Array
    position_error_m: float
    rotation_error_rad: float

    @property
    def reached(self) -> bool:
        """Whether the pose is within the joints' reach."""
        return max(self.position_error_m, ROTATION_WEIGHT * self.rotation_error_rad) < REACHED


class Kinematics:
    """Maps joints (J,), in the spec's order and units, to tool poses (4, 4) in the robot's base frame, and back.

    Has its own MuJoCo data, so it never disturbs a running simulation. Not thread-safe.
    """

    def __init__(self, model: "mujoco.MjModel", names: Sequence[str], tools: Sequence[Tool], base: str = "") -> None:
        """names: the robot's joints in order; those that the model lacks (a gripper's, for instance) do not move tools.

        Raises EmmaError for frames and joints of tools that the model does not have.
        """
        self.model = model
        self.tools = tuple(tool.name for tool in tools)
        self._data = mujoco.MjData(model)
        self._count = len(names)
        known = {model.joint(i).name for i in range(model.njnt)}
        self._moving = np.array([i for i, name in enumerate(names) if name in known], dtype=int)
        self._qpos = np.array([model.joint(names[i]).qposadr[0] for i in self._moving], dtype=int)
        self._frames = {tool.name: _Frame(model, tool.frame) for tool in tools}
        self._base = _Frame(model, base) if base else None
        chain = {name for tool in tools for name in tool.joints}
        if missing := sorted(chain - (known & set(names))):
            raise EmmaError(
                "the kinematic model lacks joints of the tools",
                found=", ".join(missing),
                expected=f"names among {', '.join(sorted(known)) or '(none)'}",
                fix="correct kinematics.tools of robot.yaml",
            )
        self._chain = np.array([i for i, name in enumerate(names) if name in chain], dtype=int)
        self._dofs = np.array([model.joint(names[i]).dofadr[0] for i in self._chain], dtype=int)
        limited = np.array([bool(model.joint(names[i]).limited) for i in self._chain])
        limits = np.array([model.joint(names[i]).range for i in self._chain]).reshape(-1, 2)
        self._lower, self._upper = np.where(limited, limits.T, [[-np.inf], [np.inf]])
        self._jacobian = np.zeros((6, model.nv))

    @classmethod
    def of(cls, spec: RobotSpec) -> "Kinematics":
        """The kinematics that `robot.yaml` describes, within its joint limits. Raises EmmaError."""
        model = load_bare(model_file(spec))
        assert spec.kinematics is not None
        made = cls(model, spec.joint_names, spec.kinematics.tools, spec.kinematics.base)
        limits = np.array([(spec.joints[i].lower, spec.joints[i].upper) for i in made._chain])
        made._lower, made._upper = np.maximum(made._lower, limits[:, 0]), np.minimum(made._upper, limits[:, 1])
        return made

    def forward(self, joints: Array) -> dict[str, Array]:
        """(J,) joints -> (4, 4) pose of every tool."""
        self._move(joints)
        base = None if self._base is None else _inverse(self._base.pose(self._data))
        poses = {name: frame.pose(self._data) for name, frame in self._frames.items()}
        return poses if base is None else {name: base @ pose for name, pose in poses.items()}

    def frames(self, joints: Array, names: Sequence[str]) -> dict[str, Array]:
        """(T, J) joints -> (T, 4, 4) of sites and bodies by name. Raises EmmaError for one that is not there."""
        frames = {name: _Frame(self.model, name) for name in names}
        found = {name: np.empty((len(joints), 4, 4)) for name in names}
        for t, row in enumerate(joints):
            self._move(row)
            base = None if self._base is None else _inverse(self._base.pose(self._data))
            for name, frame in frames.items():
                pose = frame.pose(self._data)
                found[name][t] = pose if base is None else base @ pose
        return found

    def poses(self, joints: Array, tool: str) -> Array:
        """(T, J) joints -> (T, 4, 4) poses of one tool."""
        return np.stack([self.forward(row)[tool] for row in joints])

    def inverse(self, wanted: Mapping[str, Array], start: Array, *, iterations: int = MAX_ITERATIONS) -> Solution:
        """The joints nearest to `start` (J,) that bring tools to poses (4, 4), by damped least squares (Wampler, 1986).

        Tools that are not named keep no pose. Out of reach, the nearest pose found within `iterations` is given.
        """
        result = np.array(start, dtype=np.float64)
        rows = 6 * len(wanted)
        error, jacobian = np.zeros(rows), np.zeros((rows, len(self._chain)))
        world, best = None, (np.inf, result, np.inf, np.inf)
        for _ in range(iterations):
            self._move(result)
            if self._base is not None and world is None:
                world = self._base.pose(self._data)
            distance = angle = 0.0
            for i, (name, pose) in enumerate(wanted.items()):
                goal = pose if world is None else world @ pose
                part = slice(6 * i, 6 * i + 6)
                off, turned = self._toward(self._frames[name], goal, error[part])
                distance, angle = max(distance, off), max(angle, turned)
                jacobian[part] = self._jacobian[:, self._dofs]
            if (residual := float(np.linalg.norm(error))) < best[0]:
                best = residual, result.copy(), distance, angle
            if residual < TOLERANCE:
                break
            jacobian[np.arange(rows) % 6 >= 3] *= ROTATION_WEIGHT
            change = jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + DAMPING * np.eye(rows), error)
            moved = result[self._chain] + np.clip(change, -MAX_CHANGE, MAX_CHANGE)
            result[self._chain] = np.clip(moved, self._lower, self._upper)
        # Out of reach the steps do not settle, so the last one is not the nearest.
        _, nearest, distance, angle = best
        return Solution(joints=nearest, position_error_m=distance, rotation_error_rad=angle)

    def _move(self, joints: Array) -> None:
        joints = np.asarray(joints, dtype=np.float64)
        if joints.shape != (self._count,):
            raise ValueError(f"joints have shape {joints.shape}, not ({self._count},)")
        self._data.qpos[self._qpos] = joints[self._moving]
        mujoco.mj_kinematics(self.model, self._data)

    def _toward(self, frame: "_Frame", goal: Array, error: Array) -> tuple[float, float]:
        """Fill `error` (6,) and the Jacobian of `frame`; returns the distance (m) and the angle (rad) to `goal`."""
        mujoco.mj_comPos(self.model, self._data)
        at = frame.pose(self._data)
        facing, rotation = at[:3, :3], goal[:3, :3]
        turn = 0.5 * np.cross(facing.T, rotation.T).sum(axis=0)
        sine, cosine = float(np.linalg.norm(turn)), 0.5 * (float(np.trace(facing.T @ rotation)) - 1.0)
        if cosine < 0.0:
            # Beyond 90 degrees the sine of the angle shrinks again: keep full speed.
            turn /= max(sine, 1e-9)
        error[:3], error[3:] = goal[:3, 3] - at[:3, 3], ROTATION_WEIGHT * turn
        frame.jacobian(self.model, self._data, self._jacobian)
        return float(np.linalg.norm(error[:3])), float(np.arctan2(sine, cosine))


class _Frame:
    """A site or a body of a model, by name."""

    def __init__(self, model: "mujoco.MjModel", name: str) -> None:
        sites = [model.site(i).name for i in range(model.nsite)]
        bodies = [model.body(i).name for i in range(model.nbody)]
        if name not in sites and name not in bodies:
            raise EmmaError(
                f"the kinematic model has no frame '{name}'",
                found=name,
                expected=f"a site ({', '.join(sites) or 'none'}) or a body ({', '.join(bodies)})",
                fix="correct kinematics of robot.yaml",
            )
        self._is_site = name in sites
        self._id = (model.site(name) if self._is_site else model.body(name)).id

    def pose(self, data: "mujoco.MjData") -> Array:
        """(4, 4) in the world, as of the last mj_kinematics."""
        pose = np.eye(4)
        pose[:3, :3] = (data.site_xmat if self._is_site else data.xmat)[self._id].reshape(3, 3)
        pose[:3, 3] = (data.site_xpos if self._is_site else data.xpos)[self._id]
        return pose

    def jacobian(self, model: "mujoco.MjModel", data: "mujoco.MjData", out: Array) -> None:
        """Fill (6, nv): linear, then angular."""
        fill = mujoco.mj_jacSite if self._is_site else mujoco.mj_jacBody
        fill(model, data, out[:3], out[3:], self._id)


def _inverse(pose: Array) -> Array:
    result = np.eye(4)
    result[:3, :3] = pose[:3, :3].T
    result[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return result
