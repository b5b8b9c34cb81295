"""Lens distortion, by OpenCV: the models that ROS names in CameraInfo."""

from dataclasses import dataclass

import cv2
import numpy as np

from emma.arrays import Array

# Model -> how many coefficients it takes. Source: sensor_msgs/distortion_models.hpp and OpenCV's calib3d.
COEFFICIENTS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14), "equidistant": (4,)}
_UNTIL = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-10)


@dataclass(frozen=True)
class Distortion:
    """A model of `COEFFICIENTS` and its coefficients in OpenCV's order."""

    model: str
    coefficients: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.coefficients) not in COEFFICIENTS.get(self.model, ()):
            raise ValueError(f"{self.model} with {len(self.coefficients)} coefficients")

    def rays(self, pixels: Array, intrinsics: Array) -> Array:
        """(N, 3) rays with z = 1 in the optical frame through the pixels (N, 2), column and row."""
        source, k = pixels.reshape(-1, 1, 2).astype(np.float64), np.array(self.coefficients)
        if self.model == "equidistant":
            flat = cv2.fisheye.undistortPoints(source, intrinsics, k, criteria=_UNTIL)
        else:
            flat = cv2.undistortPointsIter(source, intrinsics, k, np.eye(3), np.eye(3), _UNTIL)
        return np.concatenate([flat.reshape(-1, 2), np.ones((len(source), 1))], 1)

    def pixels(self, local: Array, intrinsics: Array) -> Array:
        """(N, 2) pixels, column and row, of points (N, 3) m in the optical frame."""
        source, k, still = local.reshape(-1, 1, 3).astype(np.float64), np.array(self.coefficients), np.zeros(3)
        if self.model == "equidistant":
            seen, _ = cv2.fisheye.projectPoints(source, still, still, intrinsics, k)
        else:
            seen, _ = cv2.projectPoints(source, still, still, intrinsics, k)
        return np.asarray(seen.reshape(-1, 2))
