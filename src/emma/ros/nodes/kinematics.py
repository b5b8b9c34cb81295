"""Forward kinematics by robot, for what needs to know where the tool is."""

from collections.abc import Callable
from importlib.metadata import entry_points

import numpy as np

from emma.control.workspace import ForwardKinematics
from emma.errors import EmmaError
from emma.robots.spec import RobotSpec

# Other packages offer theirs in this group, by the robot's name: `my_arm = "my_package:forward"`, a function of the
# RobotSpec that gives a ForwardKinematics.
ENTRY_POINTS = "emma.kinematics"


def forward_kinematics(spec: RobotSpec) -> ForwardKinematics:
    """Raises EmmaError for a robot whose kinematics nobody offers."""
    if spec.name == "desk_arm":
        return _desk_arm(spec)
    offered = entry_points(group=ENTRY_POINTS)
    if spec.name not in offered.names:
        raise EmmaError(
            f"the forward kinematics of robot {spec.name} are not known",
            found=f"entry points {ENTRY_POINTS}: {', '.join(sorted(offered.names)) or 'none'}",
            expected=f"one called {spec.name}",
            fix="install a package that offers it, or leave the parameter workspace empty",
        )
    make: Callable[[RobotSpec], ForwardKinematics] = offered[spec.name].load()
    return make(spec)


def _desk_arm(spec: RobotSpec) -> ForwardKinematics:
    from emma.sim.kinematics import Kinematics
    from emma.sim.scene import ARM_JOINTS, build_model

    arm = Kinematics(build_model())
    order = [spec.joint_names.index(name) for name in ARM_JOINTS]

    def tool(joints: np.ndarray) -> np.ndarray:
        return arm.forward(joints[order])[0]

    return tool
