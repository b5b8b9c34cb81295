"""What hand-eye calibration is made from: pictures of a board with the joints at that moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.spatial.transform import Rotation

from emma.calibrate.detect import Corners
from emma.calibrate.joint_track import Track
from emma.errors import EmmaError

MIN_POSES = 10
# Turns about one axis only leave the shift along it unknown.
SECOND_AXIS_DEG = 8.0
NUDGE = 1e-5


class Arm(Protocol):
    """A robot's forward kinematics. names: the joints of the chain, in the order of their columns."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def poses(self, joints: np.ndarray) -> np.ndarray:
        """(T, 4, 4) base from hand of joints (T, J)."""
        ...


@dataclass(frozen=True, kw_only=True)
class View:
    """One picture. joints (J,) as measured; time_s: when it was taken, on the clock of the track.

    picture (H, W) uint8 and depth_mm (H, W) uint16, 0 without a reading: where a check asks for them.
    """

    name: str
    corners: Corners
    joints: np.ndarray
    time_s: float = 0.0
    track: Track | None = None
    picture: np.ndarray | None = None
    depth_mm: np.ndarray | None = None


@dataclass(frozen=True)
class JointReadings:
    """What the encoders tell of V views: joints, velocities per second, and sides of the backlash, each (V, J)."""

    joints: np.ndarray
    velocities: np.ndarray
    sides: np.ndarray


def readings(views: Sequence[View], delay_s: float, play: np.ndarray) -> JointReadings:
    """The readings `delay_s` after the pictures' stamps. Views without a track count as taken at rest."""
    joints = np.stack([view.joints for view in views]).astype(np.float64)
    velocities, sides = np.zeros_like(joints), np.zeros_like(joints)
    tracks = {id(view.track): view.track for view in views if view.track is not None}
    for track in tracks.values():
        mine = np.array([view.track is track for view in views])
        times = np.array([view.time_s for view in views])[mine] + delay_s
        joints[mine], velocities[mine] = track.lines(times)
        sides[mine] = track.sides(times, play)
    return JointReadings(joints, velocities, sides)


def hand_poses(arm: Arm, views: Sequence[View]) -> np.ndarray:
    """(V, 4, 4) base from hand."""
    return arm.poses(np.stack([view.joints for view in views]))


def spatial_jacobians(arm: Arm, joints: np.ndarray) -> np.ndarray:
    """(V, 6, J): turn (rad) and shift (m) in the base frame, applied after the pose, by each joint of joints (V, J)."""
    count, width = joints.shape
    nudged = np.repeat(joints[:, None], 2 * width, 1)
    index = np.arange(width)
    nudged[:, index, index] += NUDGE
    nudged[:, width + index, index] -= NUDGE
    poses = arm.poses(nudged.reshape(-1, width)).reshape(count, 2 * width, 4, 4)
    step = poses[:, :width] @ np.linalg.inv(poses[:, width:])
    turns = (
        np.stack(
            [step[..., 2, 1] - step[..., 1, 2], step[..., 0, 2] - step[..., 2, 0], step[..., 1, 0] - step[..., 0, 1]],
            -1,
        )
        / 2
    )
    twist = np.concatenate([turns, step[..., :3, 3]], -1) / (2 * NUDGE)
    return np.asarray(twist.swapaxes(1, 2))


def check_motion(poses: np.ndarray) -> None:
    """Raise EmmaError where hand poses (V, 4, 4) turn too little, or about one axis only, to determine a camera."""
    if len(poses) < MIN_POSES:
        raise EmmaError(
            "too few poses of the arm",
            found=f"{len(poses)} views with the board",
            expected=f"at least {MIN_POSES}, better 20",
            fix="take more views: turn the wrist about several axes with the board in the picture",
        )
    turns = relative_turns(poses)
    spread = np.degrees(np.linalg.svd(turns, compute_uv=False) / np.sqrt(len(turns)))
    if spread[1] < SECOND_AXIS_DEG:
        axis = np.linalg.svd(turns)[2][0]
        raise EmmaError(
            "the arm turned too little" if spread[0] < SECOND_AXIS_DEG else "the arm turned about one axis only",
            found=f"turns of {spread[0]:.0f} degrees about ({axis[0]:.2f}, {axis[1]:.2f}, {axis[2]:.2f}) of the hand,"
            f" {spread[1]:.1f} about the next axis",
            expected=f"at least {SECOND_AXIS_DEG:.0f} degrees about two axes",
            fix="add poses in which the wrist is tilted and rolled by 20 to 40 degrees",
        )


def relative_turns(poses: np.ndarray) -> np.ndarray:
    """(V (V - 1) / 2, 3) rotation vectors between all pairs of poses, in the hand's frame."""
    first, second = np.triu_indices(len(poses), 1)
    rotations = poses[:, :3, :3]
    return np.asarray(Rotation.from_matrix(rotations[first].swapaxes(1, 2) @ rotations[second]).as_rotvec())
