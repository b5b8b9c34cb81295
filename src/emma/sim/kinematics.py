"""Forward and inverse kinematics of the embedded arm."""

import numpy as np

from emma.errors import EmmaError
from emma.gl import mujoco
from emma.robots import kinematics
from emma.robots.spec import Tool
from emma.sim.scene import ARM_JOINTS

TOOL = Tool(name="tool", frame="tcp", joints=ARM_JOINTS)


def tool_down(yaw: float = 0.0) -> np.ndarray:
    """(3, 3) rotation of a tool that points straight down with its fingers opening along y, turned by `yaw` (rad)."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    x_axis = np.array([-cos, -sin, 0.0])
    z_axis = np.array([0.0, 0.0, -1.0])
    return np.stack([x_axis, np.cross(z_axis, x_axis), z_axis], axis=1)


class Kinematics:
    """Maps arm joints (6,) rad to the pose of the tool centre point between the fingertips, and back."""

    def __init__(self, model: "mujoco.MjModel") -> None:
        self._arm = kinematics.Kinematics(model, ARM_JOINTS, [TOOL])

    def forward(self, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tool position (3,) m and rotation (3, 3) in the world frame."""
        pose = self._arm.forward(joints)[TOOL.name]
        return pose[:3, 3], pose[:3, :3]

    def inverse(self, position: np.ndarray, rotation: np.ndarray, start: np.ndarray) -> np.ndarray:
        """(6,) joints near `start` that bring the tool to a pose. Raises EmmaError when it is out of reach."""
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rotation, position
        found = self._arm.inverse({TOOL.name: pose}, start)
        if not found.reached:
            raise EmmaError(
                "pose out of the arm's reach",
                found=f"{found.position_error_m:.4f} m and {found.rotation_error_rad:.4f} rad away "
                f"at {np.round(position, 3).tolist()}",
                expected="a pose that the joints reach within their limits",
                fix="move the goal nearer to the arm",
            )
        return found.joints
