"""Forward and inverse kinematics of the arm, on MuJoCo's own Jacobian."""

import numpy as np

from emma.errors import EmmaError
from emma.sim.gl import mujoco
from emma.sim.scene import ARM_JOINTS

# Damping of the least squares (m^2), weight of a radian against a metre, largest joint change an iteration (rad).
DAMPING = 1e-4
ROTATION_WEIGHT = 0.3
MAX_CHANGE = 0.3
TOLERANCE = 1e-6
MAX_ITERATIONS = 200
# Below this residual (m, or rad x ROTATION_WEIGHT) a pose counts as reached even if the last digits did not converge.
REACHED = 1e-4


def tool_down(yaw: float = 0.0) -> np.ndarray:
    """(3, 3) rotation of a tool that points straight down with its fingers opening along y, turned by `yaw` (rad)."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    x_axis = np.array([-cos, -sin, 0.0])
    z_axis = np.array([0.0, 0.0, -1.0])
    return np.stack([x_axis, np.cross(z_axis, x_axis), z_axis], axis=1)


class Kinematics:
    """Maps arm joints (6,) rad to the pose of the tool centre point between the fingertips, and back.

    Has its own MuJoCo data: it never disturbs a running simulation.
    """

    def __init__(self, model: "mujoco.MjModel") -> None:
        self._model = model
        self._data = mujoco.MjData(model)
        self._site = model.site("tcp").id
        self._qpos = np.array([model.joint(name).qposadr[0] for name in ARM_JOINTS])
        self._dofs = np.array([model.joint(name).dofadr[0] for name in ARM_JOINTS])
        limits = np.array([model.joint(name).range for name in ARM_JOINTS])
        self._lower, self._upper = limits[:, 0], limits[:, 1]
        self._jacobian = np.zeros((6, model.nv))

    def forward(self, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tool position (3,) m and rotation (3, 3) in the world frame."""
        self._data.qpos[self._qpos] = joints
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        return self._data.site_xpos[self._site].copy(), self._data.site_xmat[self._site].reshape(3, 3).copy()

    def inverse(self, position: np.ndarray, rotation: np.ndarray, start: np.ndarray) -> np.ndarray:
        """(6,) joints that bring the tool to a pose, by damped least squares from `start` (Wampler, 1986).

        Raises EmmaError when the pose is out of reach.
        """
        joints = np.asarray(start, dtype=np.float64).copy()
        residual = np.inf
        for _ in range(MAX_ITERATIONS):
            at, facing = self.forward(joints)
            turn = 0.5 * np.cross(facing.T, rotation.T).sum(axis=0)
            if np.trace(facing.T @ rotation) < 1.0:
                # Beyond 90 degrees the sine of the angle shrinks again: keep full speed.
                turn /= max(np.linalg.norm(turn), 1e-9)
            error = np.concatenate([position - at, ROTATION_WEIGHT * turn])
            residual = float(np.linalg.norm(error))
            if residual < TOLERANCE:
                return joints
            mujoco.mj_jacSite(self._model, self._data, self._jacobian[:3], self._jacobian[3:], self._site)
            jacobian = self._jacobian[:, self._dofs]
            jacobian[3:] *= ROTATION_WEIGHT
            change = jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + DAMPING * np.eye(6), error)
            joints = np.clip(joints + np.clip(change, -MAX_CHANGE, MAX_CHANGE), self._lower, self._upper)
        if residual < REACHED:
            return joints
        raise EmmaError(
            "pose out of the arm's reach",
            found=f"residual {residual:.4f} m after {MAX_ITERATIONS} iterations at {np.round(position, 3).tolist()}",
            expected=f"below {REACHED} m",
            fix="move the goal nearer to the arm",
        )
