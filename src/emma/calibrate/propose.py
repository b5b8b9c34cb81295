"""Proposes the next arm pose for a hand-eye calibration: a new hand orientation with the board still in view.

Collisions are not checked, so a person moves the arm there.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from emma.calibrate.board import Board
from emma.calibrate.hand_eye import Mount, motions, start
from emma.calibrate.motion import Arm, View, hand_poses
from emma.calibrate.pinhole import Intrinsics, board_pose
from emma.errors import EmmaError

# Fewer views do not determine where the camera is.
ENOUGH_TO_PROPOSE = 4
CANDIDATES = 600
# Candidates lie within this distance of a visited pose, rad per joint, so that the way there is short.
REACH_RAD = 0.6
MARGIN = 0.06
STEEPEST_DEG = 55.0
# Orientations that differ by more than this are not worth more.
LARGE_TURN = np.radians(35.0)
# Cost of a radian of joint motion, relative to a radian of new orientation.
WAY = 0.1


class LimitedArm(Arm, Protocol):
    """An arm with limits (J, 2), rad."""

    @property
    def limits(self) -> np.ndarray: ...


def next_pose(
    arm: LimitedArm, views: Sequence[View], lens: Intrinsics, mount: Mount, board: Board, *, seed: int = 0
) -> np.ndarray | None:
    """Joints (J,) near a visited pose, with the board in the picture and the hand turned as in no view yet.

    seed: of the candidates; another gives another pose. None before the views say where the camera is, or where no
    candidate shows the board.
    """
    if len(views) < ENOUGH_TO_PROPOSE:
        return None
    seen = np.stack([board_pose(view.corners, lens).camera_from_board for view in views])
    try:
        x, y = start(motions(arm, views, mount), seen)
    except EmmaError:
        return None
    rng = np.random.default_rng(seed)
    visited = np.stack([view.joints for view in views])
    joints = visited[rng.integers(len(views), size=CANDIDATES)]
    joints = joints + rng.uniform(-REACH_RAD, REACH_RAD, joints.shape)
    joints = np.clip(joints, arm.limits[:, 0], arm.limits[:, 1])
    hands = arm.poses(joints)
    boards = np.linalg.inv(x) @ (np.linalg.inv(hands) if mount == "hand" else hands) @ y
    shown = np.array([_shows(pose, lens, board) for pose in boards])
    if not shown.any():
        return None
    known = hand_poses(arm, views)[:, :3, :3]
    cosines = (np.einsum("cij,vij->cv", hands[:, :3, :3], known) - 1) / 2
    turns = np.arccos(np.clip(cosines, -1, 1)).min(axis=1)
    way = np.abs(joints - visited[-1]).max(axis=1)
    worth = np.where(shown, np.minimum(turns, LARGE_TURN) - WAY * way, -np.inf)
    return np.asarray(joints[worth.argmax()])


def in_words(names: Sequence[str], now: np.ndarray, wanted: np.ndarray) -> str:
    """The way from joints `now` to `wanted` (J,) in words, the largest turns first."""
    turns = np.degrees(wanted - now)
    large = [i for i in np.argsort(-np.abs(turns)) if abs(turns[i]) >= 3.0]
    return "try " + ", ".join(f"{names[i]} {turns[i]:+.0f}" for i in large) + " degrees from here" if large else ""


def _shows(pose: np.ndarray, lens: Intrinsics, board: Board) -> bool:
    """Whether the whole board is in the picture from camera_from_board (4, 4), and not too steep to be read."""
    points = board.points @ pose[:3, :3].T + pose[:3, 3]
    if points[:, 2].min() <= 0.05:
        return False
    to_camera = -pose[:3, 3] / np.linalg.norm(pose[:3, 3])
    if abs(pose[:3, 2] @ to_camera) < np.cos(np.radians(STEEPEST_DEG)):
        return False
    pixels = lens.project(points)[0]
    size = np.array([lens.width, lens.height])
    return bool(((pixels > MARGIN * size) & (pixels < (1 - MARGIN) * size)).all())
