"""The chain of joints that moves a camera or a board, out of a robot's kinematics."""

from collections.abc import Sequence

import numpy as np

from emma.errors import EmmaError
from emma.robots.kinematic_model import load_bare, model_file
from emma.robots.kinematics import Kinematics
from emma.robots.spec import RobotSpec, Tool


class Chain:
    """An `Arm` (`emma.calibrate.motion`): the joints of one tool, to a frame of the kinematic model.

    frame: the link or site that carries the camera or the board; by default that of the tool.
    """

    def __init__(self, spec: RobotSpec, *, tool: str | None = None, frame: str | None = None) -> None:
        """Raises EmmaError where the robot has no kinematics, or lacks the tool or the frame."""
        path = model_file(spec)
        assert spec.kinematics is not None
        self.tool = _tool(spec, spec.kinematics.tools, tool)
        self.frame = frame or self.tool.frame
        carried = Tool(name=self.tool.name, frame=self.frame, joints=self.tool.joints)
        self._kinematics = Kinematics(load_bare(path), spec.joint_names, [carried], spec.kinematics.base)
        self.names = tuple(name for name in spec.joint_names if name in self.tool.joints)
        self.columns = np.array([spec.joint_names.index(name) for name in self.names])
        self.limits = np.array([(spec.joints[i].lower, spec.joints[i].upper) for i in self.columns])
        self._rest = np.array(spec.home or (0.0,) * len(spec.joints), np.float64)

    def poses(self, joints: np.ndarray) -> np.ndarray:
        """(T, 4, 4) base from the frame, of the chain's joints (T, J)."""
        states = np.tile(self._rest, (len(joints), 1))
        states[:, self.columns] = joints
        return self._kinematics.poses(states, self.tool.name)


def _tool(spec: RobotSpec, tools: Sequence[Tool], name: str | None) -> Tool:
    names = [tool.name for tool in tools]
    if name is None and len(tools) != 1:
        raise EmmaError(
            f"robot {spec.name} has several tools",
            found=", ".join(names) or "none",
            expected="the one that carries the camera or the board",
            fix="name it: --tool NAME",
        )
    if name is not None and name not in names:
        raise EmmaError(f"robot {spec.name} has no tool '{name}'", found=name, expected=f"one of {', '.join(names)}")
    return tools[0] if name is None else tools[names.index(name)]
