"""Joints along a path of tool poses in a bounded time: damped least squares, each pose started from the last one.

Levenberg-Marquardt with the squared error as the damping (Sugihara, IEEE T-RO 27(5), 2011) takes one or two iterations
a pose along a smooth path, and comes to rest at the nearest pose where the wanted one is out of reach.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from emma.arrays import Array
from emma.gl import mujoco
from emma.robots.kinematics import ROTATION_WEIGHT, Kinematics
from emma.robots.spec import RobotSpec

# Iterations a pose at most. Further ones help only where a pose is out of reach.
ITERATIONS = 6
# A pose counts as found below this weighted error (m), and an iteration as useless that lowers its square by less.
TOLERANCE, USELESS = 1e-5, 0.02
# Keeps the normal equations solvable at a singularity (m^2).
SMALLEST_DAMPING = 1e-7
# A pose counts as reached within these.
REACHED_M, REACHED_RAD = 0.002, 0.02
# Further from the wanted pose than this the path ends: the joints rest at the nearest pose from there on.
END_M, END_RAD = 0.03, 0.3
# The first pose may lie this many steps from the start: a command leads the arm that follows it.
LEAD = 2.0


@dataclass(frozen=True, kw_only=True)
class PathSolution:
    """joints (K, J) in the spec's order and units; position_error_m (K,) and rotation_error_rad (K,): the largest of
    all tools between the wanted pose and the one found; followed: poses before the path ended, K if it did not."""

    joints: Array
    followed: int
    position_error_m: Array
    rotation_error_rad: Array

    @property
    def reached(self) -> Array:
        """(K,) bool: which poses the joints bring the tools to."""
        return (self.position_error_m <= REACHED_M) & (self.rotation_error_rad <= REACHED_RAD)


class PosePath:
    """Inverse kinematics of paths. Joints keep their limits, and between two poses their velocity limits.

    Has its own MuJoCo data; one thread at a time.
    """

    def __init__(self, kinematics: Kinematics, spec: RobotSpec) -> None:
        """Raises ValueError for a robot without kinematics."""
        if spec.kinematics is None:
            raise ValueError(f"robot {spec.name} has no kinematics")
        model = self._model = kinematics.model
        self._data = mujoco.MjData(model)
        tools, names = spec.kinematics.tools, list(spec.joint_names)
        self._frames = [_Frame(model, tool.frame) for tool in tools]
        self._names = [tool.name for tool in tools]
        self._base = _Frame(model, spec.kinematics.base) if spec.kinematics.base else None
        chain = [name for name in names if any(name in tool.joints for tool in tools)]
        self._chain = np.array([names.index(name) for name in chain])
        known = {model.joint(i).name for i in range(model.njnt)}
        self._others = np.array([i for i, name in enumerate(names) if name in known and name not in chain], dtype=int)
        self._others_qpos = np.array([model.joint(names[i]).qposadr[0] for i in self._others], dtype=int)
        self._qpos = np.array([model.joint(name).qposadr[0] for name in chain])
        self._dofs = np.array([model.joint(name).dofadr[0] for name in chain])
        joints = [spec.joints[i] for i in self._chain]
        self._lower, self._upper = (np.array([getattr(joint, end) for joint in joints]) for end in ("lower", "upper"))
        self._velocity = np.array([joint.velocity for joint in joints])
        rows = 6 * len(tools)
        self._error, self._jacobian = np.zeros(rows), np.zeros((rows, len(chain)))
        self._all = np.zeros((6, model.nv))
        self._turn = np.arange(rows) % 6 >= 3
        self._here = np.zeros(4)

    def solve(self, wanted: Mapping[str, Array], start: Array, step_s: float) -> PathSolution:
        """wanted: poses (K, 4, 4) of every tool in the base frame, `step_s` apart; start (J,): where the joints are.

        The joints of the result that move no tool stay at `start`.
        """
        goals = self._goals(wanted, start)
        count = len(goals[0][0])
        joints = np.tile(np.asarray(start, np.float64), (count, 1))
        errors = np.zeros((count, 2))
        at, before = np.clip(joints[0, self._chain], self._lower, self._upper), None
        for k in range(count):
            reach = self._velocity * step_s * (LEAD if k == 0 else 1.0)
            low, high = np.maximum(self._lower, at - reach), np.minimum(self._upper, at + reach)
            pose = [(places[k], turns[k]) for places, turns in goals]
            # From where the joints would be at the same speed.
            guess = at if before is None else np.clip(2.0 * at - before, low, high)
            found = self._nearest(guess, low, high, pose)
            if not self._measure(found, pose, errors[k]) and before is not None:
                # The guess may have led away from the nearest pose.
                found, errors[k] = self._better(found, self._nearest(at, low, high, pose), pose)
            before, at = at, found
            joints[k, self._chain] = found
            if _beyond(errors[k]) and self._out_of_reach(found, pose):
                joints[k:, self._chain] = found
                for later in range(k + 1, count):
                    self._measure(found, [(places[later], turns[later]) for places, turns in goals], errors[later])
                break
        else:
            k = count
        return PathSolution(joints=joints, followed=k, position_error_m=errors[:, 0], rotation_error_rad=errors[:, 1])

    def _better(self, one: Array, other: Array, pose: list[tuple[Array, Array]]) -> tuple[Array, Array]:
        errors = np.zeros((2, 2))
        self._measure(one, pose, errors[0])
        self._measure(other, pose, errors[1])
        weighted = errors[:, 0] ** 2 + (ROTATION_WEIGHT * errors[:, 1]) ** 2
        return (one, errors[0]) if weighted[0] <= weighted[1] else (other, errors[1])

    def _out_of_reach(self, at: Array, pose: list[tuple[Array, Array]]) -> bool:
        """Whether more time would not bring the joints there either: a fast path lags, and is caught up with."""
        errors = np.zeros(2)
        self._measure(self._nearest(at, self._lower, self._upper, pose), pose, errors)
        return _beyond(errors)

    def _goals(self, wanted: Mapping[str, Array], start: Array) -> list[tuple[Array, Array]]:
        """Positions (K, 3) and quaternions (K, 4) of every tool in the model's own frame."""
        start = np.asarray(start, np.float64)
        self._data.qpos[self._others_qpos] = start[self._others]
        self._data.qpos[self._qpos] = start[self._chain]
        mujoco.mj_kinematics(self._model, self._data)
        world = np.eye(4) if self._base is None else self._base.pose(self._data)
        goals = []
        for name in self._names:
            poses = world @ np.asarray(wanted[name], np.float64)
            turns = np.zeros((len(poses), 4))
            for quaternion, pose in zip(turns, poses, strict=True):
                mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(pose[:3, :3]).ravel())
            goals.append((np.ascontiguousarray(poses[:, :3, 3]), turns))
        return goals

    def _nearest(self, at: Array, low: Array, high: Array, pose: list[tuple[Array, Array]]) -> Array:
        cost = self._look(at, pose)
        best, least = at, cost
        for _ in range(ITERATIONS):
            if cost < TOLERANCE**2:
                break
            at = np.clip(at + self._step(at, low, high, cost), low, high)
            cost = self._look(at, pose)
            useless = cost > (1.0 - USELESS) * least
            if cost < least:
                best, least = at, cost
            if useless:
                break
        return best

    def _look(self, at: Array, pose: list[tuple[Array, Array]]) -> float:
        """Fill the weighted errors (6 a tool) for joints `at`; returns their square."""
        data = self._data
        data.qpos[self._qpos] = at
        mujoco.mj_kinematics(self._model, data)
        for i, (frame, (place, turn)) in enumerate(zip(self._frames, pose, strict=True)):
            error = self._error[6 * i : 6 * i + 6]
            matrix = frame.matrix(data)
            mujoco.mju_mat2Quat(self._here, matrix)
            mujoco.mju_subQuat(error[3:], turn, self._here)
            error[3:] = ROTATION_WEIGHT * (matrix.reshape(3, 3) @ error[3:])
            error[:3] = place - frame.place(data)
        return float(self._error @ self._error)

    def _step(self, at: Array, low: Array, high: Array, cost: float) -> Array:
        mujoco.mj_comPos(self._model, self._data)
        for i, frame in enumerate(self._frames):
            frame.jacobian(self._model, self._data, self._all)
            self._jacobian[6 * i : 6 * i + 6] = self._all[:, self._dofs]
        self._jacobian[self._turn] *= ROTATION_WEIGHT
        slope = self._jacobian.T @ self._error
        curve = self._jacobian.T @ self._jacobian
        curve.flat[:: len(curve) + 1] += 0.5 * cost + SMALLEST_DAMPING
        # A joint that rests at its limit takes no part, or the others would not make up for it.
        held = ((at <= low) & (slope < 0)) | ((at >= high) & (slope > 0))
        if held.any():
            curve[held], curve[:, held], slope[held] = 0.0, 0.0, 0.0
            curve[held, held] = 1.0
        return np.asarray(np.linalg.solve(curve, slope))

    def _measure(self, at: Array, pose: list[tuple[Array, Array]], errors: Array) -> bool:
        """Fill distance (m) and angle (rad) for joints `at`; whether both count as reached."""
        self._look(at, pose)
        parts = self._error.reshape(-1, 2, 3)
        errors[0] = np.sqrt((parts[:, 0] ** 2).sum(-1)).max()
        errors[1] = np.sqrt((parts[:, 1] ** 2).sum(-1)).max() / ROTATION_WEIGHT
        return bool(errors[0] <= REACHED_M and errors[1] <= REACHED_RAD)


def _beyond(errors: Array) -> bool:
    return bool(errors[0] > END_M or errors[1] > END_RAD)


class _Frame:
    """A site or a body, by the name that `Kinematics` has accepted."""

    def __init__(self, model: "mujoco.MjModel", name: str) -> None:
        self._site = name in [model.site(i).name for i in range(model.nsite)]
        self._id = (model.site(name) if self._site else model.body(name)).id

    def place(self, data: "mujoco.MjData") -> Array:
        """(3,) position in the world, as of the last mj_kinematics."""
        return np.asarray((data.site_xpos if self._site else data.xpos)[self._id])

    def matrix(self, data: "mujoco.MjData") -> Array:
        """(9,) rotation in the world, row by row."""
        return np.asarray((data.site_xmat if self._site else data.xmat)[self._id])

    def pose(self, data: "mujoco.MjData") -> Array:
        """(4, 4) in the world."""
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = self.matrix(data).reshape(3, 3), self.place(data)
        return pose

    def jacobian(self, model: "mujoco.MjModel", data: "mujoco.MjData", out: Array) -> None:
        """Fill (6, nv): linear, then angular."""
        fill = mujoco.mj_jacSite if self._site else mujoco.mj_jacBody
        fill(model, data, out[:3], out[3:], self._id)
