"""Commands relative to where the robot is: how far a command may lie from the measured pose.

A position controller follows its target with a lag, so a healthy command is ahead by up to velocity times lag. One that
is further away belongs to another situation: the driver came back with the arm elsewhere, the controller ignores
commands, the arm was moved by hand. Such a command is never sent.
"""

import numpy as np

from emma.arrays import Array
from emma.robots.spec import RobotSpec

# Beside the lag: friction, gravity and the rounding of encoders, and what a controller leaves as a steady error.
MARGIN = {"rad": 0.1, "m": 0.02}


class TrackingGuard:
    """reach: (J,) how far a command may be from the measured pose, per joint: velocity limit x `tracking_s` + margin.

    A gripper is stopped by what it holds, so its distance says nothing: its reach is infinite.
    """

    def __init__(self, spec: RobotSpec) -> None:
        self._spec = spec
        self.reach = np.array(
            [
                np.inf if joint.name in spec.gripper else joint.velocity * spec.tracking_s + MARGIN[joint.unit]
                for joint in spec.joints
            ]
        )

    def hold_at(self, measured: Array | None) -> Array | None:
        """(J,) the command that holds the robot where it is measured to be, within its limits.

        None where that is not known, or further outside the limits than any command may reach.
        """
        if measured is None:
            return None
        limits = [(joint.lower, joint.upper) for joint in self._spec.joints]
        held = np.clip(np.asarray(measured, np.float64), *np.transpose(limits))
        return None if self.excess(held, measured) else np.asarray(held)

    def excess(self, command: Array, measured: Array) -> str:
        """The joint whose `command` (J,) is furthest beyond its reach of `measured` (J,), in words; "" if none is."""
        distance = np.abs(np.asarray(command, np.float64) - measured)
        worst = int(np.argmax(distance / self.reach))
        if distance[worst] <= self.reach[worst] + ROUNDING:
            return ""
        joint = self._spec.joints[worst]
        return f"{joint.name} is {distance[worst]:.2f} {joint.unit} from its command, more than {self.reach[worst]:.2f}"


# Beyond the reach by no more than this, a command lies at its end.
ROUNDING = 1e-6
# Without joint states for this long, s, nothing is commanded: a driver that comes back may find the arm anywhere.
BLIND_S = 0.4
# Further from the measured pose than this, a command was not followed or is of another episode.
NEAR = {"rad": 0.15, "m": 0.02}


def start_pose(spec: RobotSpec, measured: Array, commanded: Array | None) -> Array:
    """(J,) the pose a new commander starts from: the last command if the arm follows it, else what is measured.

    The last command is what holds the arm against gravity and an object in the gripper; starting from the measured
    pose would let both sag. The gripper does not count as evidence: it is stopped by what it holds.
    """
    if commanded is None or not np.isfinite(commanded).all():
        return np.asarray(measured, dtype=np.float64)
    near = np.array([np.inf if joint.name in spec.gripper else NEAR[joint.unit] for joint in spec.joints])
    followed = (np.abs(np.asarray(commanded) - measured) <= near).all()
    return np.asarray(commanded if followed else measured, dtype=np.float64)
