"""First guesses of hand-eye calibration: OpenCV's closed-form solvers, and how far they agree."""

from collections.abc import Sequence

import cv2
import numpy as np

from emma.calibrate.pinhole import rigid

SOLVERS = {
    "park": cv2.CALIB_HAND_EYE_PARK,
    "horaud": cv2.CALIB_HAND_EYE_HORAUD,
    "andreff": cv2.CALIB_HAND_EYE_ANDREFF,
    "daniilidis": cv2.CALIB_HAND_EYE_DANIILIDIS,
}


def solve(motions: np.ndarray, boards: np.ndarray) -> dict[str, np.ndarray]:
    """X (4, 4) by each solver, where camera_from_board = X^-1 motion Y.

    motions: (V, 4, 4); boards: (V, 4, 4) camera from board. A solver that fails is left out.
    """
    # OpenCV's robot poses are base from gripper; X^-1 motion Y with motion = hand from base is eye in hand.
    gripper = np.linalg.inv(motions)
    found = {}
    for name, method in SOLVERS.items():
        try:
            turn, shift = cv2.calibrateHandEye(
                [*gripper[:, :3, :3]], [*gripper[:, :3, 3]], [*boards[:, :3, :3]], [*boards[:, :3, 3]], method=method
            )
        except cv2.error:
            continue
        if np.isfinite(turn).all() and np.isfinite(shift).all() and abs(np.linalg.det(turn) - 1) < 0.1:
            left, _, right = np.linalg.svd(turn)
            found[name] = rigid(left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right, shift)
    return found


def other_side(motions: np.ndarray, boards: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Y (4, 4) that fits X best: the mean over the views."""
    return mean_pose(np.linalg.inv(motions) @ x @ boards)


def mean_pose(poses: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """(4, 4): the chordal mean of rotations, and of the shifts the median, which one bad view does not move."""
    stacked = np.asarray(poses)
    left, _, right = np.linalg.svd(stacked[:, :3, :3].sum(0))
    return rigid(left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right, np.median(stacked[:, :3, 3], axis=0))


def apart(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Millimetres and degrees between two poses (4, 4)."""
    cosine = np.clip((np.trace(a[:3, :3].T @ b[:3, :3]) - 1) / 2, -1, 1)
    small = np.linalg.norm(a[:3, :3] - b[:3, :3]) / np.sqrt(2)
    angle = small if small < 0.1 else np.arccos(cosine)
    return float(np.linalg.norm(a[:3, 3] - b[:3, 3]) * 1000), float(np.degrees(angle))
