"""From one commander to the next: where the new one starts, so that neither arm nor grip jumps."""

import numpy as np

from emma.robots.spec import RobotSpec

# Further from the measured pose than this, a command was not followed or is of another episode.
NEAR = {"rad": 0.15, "m": 0.02}


def start_pose(spec: RobotSpec, measured: np.ndarray, commanded: np.ndarray | None) -> np.ndarray:
    """(J,) the pose a new commander starts from: the last command if the arm follows it, else what is measured.

    The last command is what holds the arm against gravity and an object in the gripper; starting from the measured
    pose would let both sag. The gripper does not count as evidence: it is stopped by what it holds.
    """
    if commanded is None or not np.isfinite(commanded).all():
        return np.asarray(measured, dtype=np.float64)
    near = np.array([np.inf if joint.name in spec.gripper else NEAR[joint.unit] for joint in spec.joints])
    followed = (np.abs(np.asarray(commanded) - measured) <= near).all()
    return np.asarray(commanded if followed else measured, dtype=np.float64)
