"""Jogging: a wanted tool velocity to joint targets, by inverse kinematics of a tool pose that is moved along."""

from dataclasses import dataclass

import numpy as np

from emma.errors import EmmaError
from emma.robots.kinematics import Kinematics
from emma.robots.spec import RobotSpec
from emma.teleop.teleop import Target

# Order of the five axes in every message and key map, each in [-1, 1]: forward, left, up, turn left, open.
AXES = ("x", "y", "z", "yaw", "gripper")
# A control loop that was stopped for longer than this (s) does not make up for it.
LONGEST_STEP_S = 0.1


@dataclass(frozen=True, kw_only=True)
class JogConfig:
    """Speeds at full deflection: linear m/s, yaw rad/s, gripper m/s. hold_s: how long the last deflection counts."""

    linear: float = 0.12
    yaw: float = 0.8
    gripper: float = 0.06
    hold_s: float = 0.25

    def __post_init__(self) -> None:
        for name in ("linear", "yaw", "gripper", "hold_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")


class JogDevice:
    """Five axes (`AXES`) to joint targets: one tool of a robot, by default the first, and the gripper joints."""

    def __init__(self, spec: RobotSpec, config: JogConfig | None = None, *, tool: str = "") -> None:
        """Raises EmmaError for a robot whose kinematics are not known, or that has no such tool."""
        self._config = config or JogConfig()
        self._kinematics = Kinematics.of(spec)
        self._tool = tool or self._kinematics.tools[0]
        if self._tool not in self._kinematics.tools:
            raise EmmaError("no such tool", found=self._tool, expected=f"one of {', '.join(self._kinematics.tools)}")
        box = spec.kinematics.jog_box if spec.kinematics else ()
        self._box = np.array(box).reshape(2, 3) if box else np.array([[-np.inf] * 3, [np.inf] * 3])
        self._gripper = np.array([name in spec.gripper for name in spec.joint_names])
        self._lower = np.array([joint.lower for joint in spec.joints])
        self._upper = np.array([joint.upper for joint in spec.joints])
        self._fastest = np.array([joint.velocity for joint in spec.joints])
        self._axes: np.ndarray = np.zeros(len(AXES))
        self._said_s = -np.inf
        self._joints: np.ndarray = np.zeros(len(spec.joints))
        self._pose: np.ndarray = np.eye(4)
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
        self._pose = self._kinematics.forward(self._joints)[self._tool]
        self._axes = np.zeros(len(AXES))

    def target(self, t_s: float, position: np.ndarray) -> Target:
        """See `Device`. A step that leads out of reach, or through a singularity, is not taken."""
        seconds, self._at_s = min(max(t_s - self._at_s, 0.0), LONGEST_STEP_S), t_s
        axes = self._axes if t_s - self._said_s <= self._config.hold_s else np.zeros(len(AXES))
        if not axes.any():
            return Target(self._joints)
        joints = self._joints.copy()
        note = ""
        if axes[:4].any():
            joints, note = self._move_tool(axes, seconds)
        joints[self._gripper] += axes[4] * self._config.gripper * seconds
        self._joints = np.clip(joints, self._lower, self._upper)
        return Target(self._joints, note=note)

    def _move_tool(self, axes: np.ndarray, seconds: float) -> tuple[np.ndarray, str]:
        """The joints (J,) after one step, and why the tool did not move as wanted, or ""."""
        at = self._pose[:3, 3]
        wanted = at + axes[:3] * self._config.linear * seconds
        # A tool that is outside already may come back, but not go further.
        pose = self._pose.copy()
        pose[:3, 3] = np.clip(wanted, np.minimum(self._box[0], at), np.maximum(self._box[1], at))
        pose[:3, :3] = _about_z(axes[3] * self._config.yaw * seconds) @ pose[:3, :3]
        found = self._kinematics.inverse({self._tool: pose}, self._joints)
        if not found.reached:
            return self._joints.copy(), "out of reach"
        if (np.abs(found.joints - self._joints) > self._fastest * seconds).any():
            return self._joints.copy(), "too near a singularity"
        self._pose = pose
        return found.joints, "" if np.array_equal(pose[:3, 3], wanted) else "at the edge of the box"


def _about_z(angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
