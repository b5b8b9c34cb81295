"""Jogging: a wanted tool velocity to joint targets, by inverse kinematics of a tool pose that is moved along."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from emma.errors import EmmaError
from emma.robots.spec import RobotSpec
from emma.teleop.teleop import Target

# Order of the five axes in every message and key map, each in [-1, 1]: forward, left, up, turn left, open.
AXES = ("x", "y", "z", "yaw", "gripper")
# A control loop that was stopped for longer than this (s) does not make up for it.
LONGEST_STEP_S = 0.1


class ArmKinematics(Protocol):
    """Tool pose of the arm joints, and back. Positions in m, rotations (3, 3), joints in rad."""

    def forward(self, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Position (3,) and rotation (3, 3) of the tool."""
        ...

    def inverse(self, position: np.ndarray, rotation: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Joints near `start` for a tool pose. Raises EmmaError when it is out of reach."""
        ...


@dataclass(frozen=True, kw_only=True)
class JogConfig:
    """Speeds at full deflection: linear m/s, yaw rad/s, gripper m/s. hold_s: how long a deflection counts after it was
    last said. lower, upper: the box the tool stays in, m."""

    linear: float = 0.12
    yaw: float = 0.8
    gripper: float = 0.06
    hold_s: float = 0.25
    lower: tuple[float, float, float] = field(default=(0.10, -0.40, 0.012))
    upper: tuple[float, float, float] = field(default=(0.50, 0.40, 0.45))

    def __post_init__(self) -> None:
        for name in ("linear", "yaw", "gripper", "hold_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        if len(self.lower) != 3 or len(self.upper) != 3 or not np.less(self.lower, self.upper).all():
            raise ValueError(f"a box has three sides, lower below upper, not {self.lower} and {self.upper}")


class JogDevice:
    """Five axes (`AXES`) to joint targets of an arm whose other joints are its gripper."""

    def __init__(self, spec: RobotSpec, kinematics: ArmKinematics, config: JogConfig | None = None) -> None:
        self._config = config or JogConfig()
        self._kinematics = kinematics
        self._arm = np.array([name not in spec.gripper for name in spec.joint_names])
        self._lower = np.array([joint.lower for joint in spec.joints])
        self._upper = np.array([joint.upper for joint in spec.joints])
        self._fastest = np.array([joint.velocity for joint in spec.joints])
        self._axes: np.ndarray = np.zeros(len(AXES))
        self._said_s = -np.inf
        self._joints: np.ndarray = np.zeros(len(spec.joints))
        self._position: np.ndarray = np.zeros(3)
        self._rotation: np.ndarray = np.eye(3)
        self._at_s = 0.0

    def push(self, axes: np.ndarray, t_s: float) -> None:
        """Take a deflection of the five axes; beyond [-1, 1] it is cut. Raises EmmaError for other shapes or NaN."""
        values = np.asarray(axes, dtype=np.float64)
        if values.shape != (len(AXES),) or not np.isfinite(values).all():
            raise EmmaError("bad jog axes", found=values.tolist(), expected=f"5 finite numbers: {', '.join(AXES)}")
        self._axes, self._said_s = np.clip(values, -1.0, 1.0), t_s

    def begin(self, position: np.ndarray, t_s: float) -> None:
        """See `Device`."""
        self._joints, self._at_s = np.array(position, dtype=np.float64), t_s
        self._position, self._rotation = self._kinematics.forward(self._joints[self._arm])
        self._axes = np.zeros(len(AXES))

    def target(self, t_s: float, position: np.ndarray) -> Target:
        """See `Device`. A step that leads out of reach, or through a singularity, is not taken."""
        seconds, self._at_s = min(max(t_s - self._at_s, 0.0), LONGEST_STEP_S), t_s
        axes = self._axes if t_s - self._said_s <= self._config.hold_s else np.zeros(len(AXES))
        if not axes.any():
            return Target(self._joints)
        joints = self._joints.copy()
        joints[~self._arm] += axes[4] * self._config.gripper * seconds
        note = ""
        if axes[:4].any():
            note = self._move_tool(axes, seconds, joints)
        self._joints = np.clip(joints, self._lower, self._upper)
        return Target(self._joints, note=note)

    def _move_tool(self, axes: np.ndarray, seconds: float, joints: np.ndarray) -> str:
        """Change the arm's part of `joints` for one step; returns why not, or ""."""
        wanted = self._position + axes[:3] * self._config.linear * seconds
        # A tool that is outside already may come back, but not go further.
        low, high = np.minimum(self._config.lower, self._position), np.maximum(self._config.upper, self._position)
        inside = np.clip(wanted, low, high)
        turned = _about_z(axes[3] * self._config.yaw * seconds) @ self._rotation
        try:
            arm = self._kinematics.inverse(inside, turned, joints[self._arm])
        except EmmaError:
            return "out of reach"
        if (np.abs(arm - joints[self._arm]) > self._fastest[self._arm] * seconds).any():
            return "too near a singularity"
        joints[self._arm] = arm
        self._position, self._rotation = inside, turned
        return "" if np.array_equal(inside, wanted) else "at the edge of the box"


def _about_z(angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
