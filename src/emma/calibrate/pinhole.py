"""One camera's intrinsics: projection, its derivatives, and the pose of a board that explains a picture."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from emma.calibrate.detect import Corners
from emma.robots.lens import COEFFICIENTS, Distortion

MODELS = tuple(COEFFICIENTS)
# How many coefficients a new calibration estimates.
ESTIMATED = {"plumb_bob": 5, "rational_polynomial": 8, "equidistant": 4}
REFINE_STEPS = 20
STILL_STEP = 1e-9


@dataclass(frozen=True, kw_only=True)
class Intrinsics:
    """width, height in pixels; matrix (3, 3); coefficients in OpenCV's order.

    covariance: (4 + n, 4 + n) of fx, fy, cx, cy and the coefficients; None where it is not known.
    """

    model: str
    width: int
    height: int
    matrix: np.ndarray
    coefficients: tuple[float, ...]
    covariance: np.ndarray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        Distortion(self.model, self.coefficients)
        if self.matrix.shape != (3, 3):
            raise ValueError(f"a matrix of shape {self.matrix.shape}")

    @property
    def distortion(self) -> Distortion:
        return Distortion(self.model, self.coefficients)

    @property
    def values(self) -> np.ndarray:
        """(4 + n,): fx, fy, cx, cy and the coefficients."""
        k = self.matrix
        return np.array([k[0, 0], k[1, 1], k[0, 2], k[1, 2], *self.coefficients])

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pixels (N, 2) of points (N, 3) m in the optical frame, and their derivatives.

        Those are (N, 2, 3) by the point and (N, 2, 4 + n) by fx, fy, cx, cy and the coefficients.
        """
        source, still, k = points.reshape(-1, 1, 3).astype(np.float64), np.zeros(3), np.array(self.coefficients)
        if self.model == "equidistant":
            pixels, jacobian = cv2.fisheye.projectPoints(source, still, still, self.matrix, k)
            order = [0, 1, 2, 3, 4, 5, 6, 7]
            by_point = jacobian[:, 11:14]
        else:
            pixels, jacobian = cv2.projectPoints(source, still, still, self.matrix, k)
            order = [6, 7, 8, 9, *range(10, 10 + len(k))]
            by_point = jacobian[:, 3:6]
        count = len(source)
        return pixels.reshape(-1, 2), by_point.reshape(count, 2, 3), jacobian[:, order].reshape(count, 2, -1)


@dataclass(frozen=True)
class BoardPose:
    """Where the board is in the optical frame, from one picture.

    camera_from_board: (4, 4) m. by_pose: (2N, 6) pixels by a turn (rad) and a shift (m) in the optical frame that is
    applied after the pose. by_lens: (2N, 4 + n). residuals: (N, 2) pixels, seen - projected.
    """

    camera_from_board: np.ndarray
    by_pose: np.ndarray
    by_lens: np.ndarray
    residuals: np.ndarray

    @property
    def rms_px(self) -> float:
        """Root of the mean squared distance between seen and projected corners."""
        return float(np.sqrt((self.residuals**2).sum(1).mean()))


def skew(vectors: np.ndarray) -> np.ndarray:
    """(..., 3, 3) cross-product matrices of (..., 3)."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*vectors.shape, 3)


def rigid(rotation: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """(4, 4) of a rotation (3, 3) or rotation vector (3,) and a shift (3,)."""
    pose = np.eye(4)
    pose[:3, :3] = rotation if rotation.shape == (3, 3) else cv2.Rodrigues(rotation.astype(np.float64))[0]
    pose[:3, 3] = shift.reshape(3)
    return pose


def linearised(corners: Corners, lens: Intrinsics, pose: np.ndarray) -> BoardPose:
    """The derivatives and residuals at a pose (4, 4)."""
    local = corners.points @ pose[:3, :3].T + pose[:3, 3]
    pixels, by_point, by_lens = lens.project(local)
    by_turn = by_point @ -skew(local)
    by_pose = np.concatenate([by_turn, by_point], 2).reshape(-1, 6)
    return BoardPose(pose, by_pose, by_lens.reshape(len(by_pose), -1), corners.pixels - pixels)


def refine_pose(corners: Corners, lens: Intrinsics, pose: np.ndarray) -> BoardPose:
    """The pose with the least squared reprojection error, by Gauss-Newton with damping (Levenberg) from `pose`."""
    here, damping = linearised(corners, lens, pose), 1e-6
    for _ in range(REFINE_STEPS):
        gradient = here.by_pose.T @ here.residuals.reshape(-1)
        normal = here.by_pose.T @ here.by_pose
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), gradient)
        there = linearised(corners, lens, rigid(step[:3], step[3:]) @ here.camera_from_board)
        if (there.residuals**2).sum() <= (here.residuals**2).sum() and there.camera_from_board[2, 3] > 0:
            here, damping = there, damping / 10
        else:
            damping *= 100
        if np.abs(step).max() < STILL_STEP or damping > 1e6:
            break
    return here


def board_pose(corners: Corners, lens: Intrinsics) -> BoardPose:
    """The pose of the board in one picture. A plane seen from afar has two; the one with the smaller error is taken."""
    rays = lens.distortion.rays(corners.pixels, lens.matrix)
    _, turns, shifts, _ = cv2.solvePnPGeneric(
        corners.points, np.ascontiguousarray(rays[:, :2]), np.eye(3), None, flags=cv2.SOLVEPNP_IPPE
    )
    found = [
        refine_pose(corners, lens, rigid(turn.reshape(3), shift))
        for turn, shift in zip(turns, shifts, strict=True)
        if shift[2, 0] > 0 and np.isfinite(turn).all()
    ]
    if not found:
        raise ValueError("no pose in front of the camera")
    return min(found, key=lambda pose: pose.rms_px)
