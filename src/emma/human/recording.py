"""One recording of hands in one form, whatever file it comes from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from emma.errors import EmmaError


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Hands and camera over time, in one fixed right-handed world frame.

    times_s (N,): increasing; points: side -> (N, 21, 3) m in the order of `hand_frame.POINTS`, NaN where missing;
    confidence: side -> (N,) in [0, 1]; camera (N, 4, 4): world_from_camera, x right, y down, z forward (OpenCV);
    intrinsics (3, 3) in pixels of the video; video_times_s (F,): when each video frame was taken; image_topic: where
    `video` is a bag, the topic of its images.
    """

    format: str
    files: tuple[Path, ...]
    instruction: str
    times_s: np.ndarray
    points: Mapping[str, np.ndarray]
    camera: np.ndarray
    intrinsics: np.ndarray
    video: Path
    video_size: tuple[int, int]
    video_times_s: np.ndarray
    confidence: Mapping[str, np.ndarray] = field(default_factory=dict)
    image_topic: str = ""

    def __post_init__(self) -> None:
        name, count = self.files[0], len(self.times_s)
        if count < 2 or not np.all(np.diff(self.times_s) > 0):
            raise EmmaError(
                f"{name}: bad time column", found=f"{count} times", expected="2 or more, each after the last"
            )
        for side, points in self.points.items():
            if points.shape != (count, 21, 3):
                raise EmmaError(f"{name}: bad {side} hand", found=points.shape, expected=(count, 21, 3))
        self._check_camera(name, count)
        self._check_intrinsics(name)
        if self.video_times_s[-1] < self.times_s[0] or self.video_times_s[0] > self.times_s[-1]:
            raise EmmaError(
                f"{name}: video and hands share no moment",
                found=f"video {self.video_times_s[0]:.3f} to {self.video_times_s[-1]:.3f} s, "
                f"hands {self.times_s[0]:.3f} to {self.times_s[-1]:.3f} s",
                expected="one clock for both",
                fix="correct the start of the video or the unit of the times",
            )

    def _check_camera(self, name: Path, count: int) -> None:
        if self.camera.shape != (count, 4, 4) or not np.isfinite(self.camera).all():
            absent = int((~np.isfinite(self.camera)).any(axis=(1, 2)).sum())
            raise EmmaError(
                f"{name}: no camera pose",
                found=f"{self.camera.shape}, {absent} poses not finite",
                expected=f"a pose for each of {count} times",
                fix="export the head or camera trajectory with the hands",
            )
        rotation = self.camera[:, :3, :3]
        wrong = np.abs(rotation @ np.swapaxes(rotation, 1, 2) - np.eye(3)).max()
        if wrong > 1e-3 or np.linalg.det(rotation).min() < 0:
            raise EmmaError(
                f"{name}: the camera poses are no rotations",
                found=f"off by {wrong:.3g}, determinant {np.linalg.det(rotation).min():.3f}",
                expected="right-handed orthonormal matrices",
                fix="convert left-handed coordinates first (`coordinates: unity` in a table's column map)",
            )
        if np.allclose(self.camera, np.eye(4), atol=1e-9):
            raise EmmaError(
                f"{name}: the camera pose is the identity in every frame",
                found="no camera motion and no place",
                expected="world_from_camera",
                fix="export the camera trajectory; without it hands and head motion cannot be told apart",
            )

    def _check_intrinsics(self, name: Path) -> None:
        width, height = self.video_size
        matrix = self.intrinsics
        fits = (
            np.isfinite(matrix).all()
            and matrix[0, 0] > 0
            and matrix[1, 1] > 0
            and 0.3 * width < matrix[0, 2] < 0.7 * width
            and 0.3 * height < matrix[1, 2] < 0.7 * height
        )
        if not fits:
            raise EmmaError(
                f"{name}: the intrinsics belong to another resolution",
                found=f"principal point ({matrix[0, 2]:.0f}, {matrix[1, 2]:.0f}), video {width} x {height}",
                expected=f"a principal point near ({width / 2:.0f}, {height / 2:.0f})",
                fix="scale the intrinsics to the size of the video, or use the original video",
            )

    def project(self, side: str, frame: int) -> np.ndarray:
        """(21, 2) pixels of a hand at times_s[frame]; NaN for points behind the camera or missing."""
        world = self.points[side][frame]
        camera = self.camera[frame]
        local = (world - camera[:3, 3]) @ camera[:3, :3]
        local[local[:, 2] <= 0] = np.nan
        pixels = local @ self.intrinsics.T
        return pixels[:, :2] / pixels[:, 2:]

    def in_view(self, side: str) -> float:
        """Share of the times with a wrist at which it projects into the picture."""
        wrist = self.points[side][:, 0]
        there = np.isfinite(wrist).all(axis=1)
        if not there.any():
            return 0.0
        local = np.einsum("nj,njk->nk", wrist - self.camera[:, :3, 3], self.camera[:, :3, :3])[there]
        pixels = local @ self.intrinsics.T
        front = local[:, 2] > 0
        pixels = pixels[:, :2] / np.where(front, local[:, 2], 1.0)[:, None]
        inside = front & (pixels >= 0).all(axis=1) & (pixels < np.array(self.video_size)).all(axis=1)
        return float(inside.mean())
