"""Which pixels of two pictures show the same point of the scene: depth and poses, with an occlusion test."""

from dataclasses import dataclass

import cv2
import numpy as np

from emma.dreamtransfer.geometry import MM, CameraGeometry, points, project

# A point is seen by the second camera if that camera's depth agrees within 6 mm or 2 %: more than the rounding of depth
# on slanted surfaces, less than the height of the smallest object that matters (a plate's rim is 12 mm).
TOLERANCE_M = 0.006
TOLERANCE_SHARE = 0.02


@dataclass(frozen=True)
class Correspondence:
    """Per pixel (T, H, W) of the first picture: whether the second sees its point, and at which pixel.

    seen: bool; x, y: float32 columns and rows in the second picture, -1 where it is not seen.
    """

    seen: np.ndarray
    x: np.ndarray
    y: np.ndarray

    def sample(self, second: np.ndarray) -> np.ndarray:
        """(T, H, W, 3) uint8: the second picture's colours at the pixels of the first, bilinear; 0 where not seen."""
        warped = [
            cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
            for image, x, y in zip(second, self.x, self.y, strict=True)
        ]
        return np.stack(warped)


def correspond(
    depth: np.ndarray,
    camera: CameraGeometry,
    second_depth: np.ndarray,
    second_camera: CameraGeometry,
    margin: int = 1,
) -> Correspondence:
    """Follow each pixel's point into the second picture, moment by moment.

    depth, second_depth: (T, H, W) uint16 mm. Depth must agree at all four neighbours of the pixel in the second
    picture, and within `margin` pixels around the first, so that no colour is mixed across an object's edge.
    """
    with np.errstate(invalid="ignore"):
        pixels, distance = project(points(depth, camera), second_camera)
        x, y = pixels[..., 0].astype(np.float32), pixels[..., 1].astype(np.float32)
        height, width = second_depth.shape[1:]
        seen = (distance > 0) & (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    column, row = np.where(seen, x, 0).astype(np.intp), np.where(seen, y, 0).astype(np.intp)
    moment = np.arange(len(depth))[:, None, None]
    tolerance = np.maximum(TOLERANCE_M, TOLERANCE_SHARE * np.where(seen, distance, 0))
    for dy in (0, 1):
        for dx in (0, 1):
            corner = second_depth[moment, np.minimum(row + dy, height - 1), np.minimum(column + dx, width - 1)]
            seen &= (corner > 0) & (np.abs(corner * MM - np.where(seen, distance, 0)) <= tolerance)
    if margin:
        seen &= ~near_edges(depth, margin)
    return Correspondence(seen, np.where(seen, x, -1).astype(np.float32), np.where(seen, y, -1).astype(np.float32))


def near_edges(depth: np.ndarray, margin: int) -> np.ndarray:
    """(T, H, W) bool: where depth jumps (by TOLERANCE_M and TOLERANCE_SHARE) within `margin` pixels, or is unknown."""
    kernel = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    low, high = (np.stack([f(d, kernel) for d in depth]).astype(np.int32) for f in (cv2.erode, cv2.dilate))
    jump = np.maximum(TOLERANCE_M / MM, TOLERANCE_SHARE * low) * (2 * margin)
    return (low == 0) | (high - low > jump)
