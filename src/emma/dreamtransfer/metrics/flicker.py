"""Does what stands still keep its colour? Consecutive frames compared after the camera's own motion is undone.

With depth and poses a pixel's point is followed exactly; without them the optical flow of the source pictures is used,
as in the warping error of Lai et al., "Learning Blind Video Temporal Consistency" (ECCV 2018).
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from emma.dreamtransfer.geometry import CameraGeometry
from emma.dreamtransfer.metrics.correspondence import Correspondence, correspond

# Flow there and back must return within this many pixels, else the point is hidden or the flow is wrong.
RETURN_PIXELS = 1.0


def follow_static(depth: np.ndarray, camera: CameraGeometry, moving: np.ndarray | None = None) -> Correspondence:
    """(T - 1) moments: each pixel's point in the next frame, if the scene did not move there.

    depth: (T, H, W) uint16 mm. Depth in the next frame must agree, which leaves out nearly all that moves; `moving`
    (T, H, W) bool names what moves where it is known.
    """
    now, later = slice(None, -1), slice(1, None)
    found = correspond(depth[now], camera.at(now), depth[later], camera.at(later))
    if moving is None:
        return found
    return Correspondence(found.seen & ~moving[now] & ~moving[later], found.x, found.y)


def follow_flow(source: np.ndarray) -> Correspondence:
    """(T - 1) moments: each pixel in the next frame by dense optical flow (DIS) of the source pictures (T, H, W, 3)."""
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in source]
    flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    height, width = source.shape[1:3]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    xs, ys, seen = [], [], []
    for a, b in pairwise(grey):
        there, back = flow.calc(a, b, None), flow.calc(b, a, None)
        x, y = columns + there[..., 0], rows + there[..., 1]
        returned = there + cv2.remap(back, x, y, cv2.INTER_LINEAR)
        inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
        xs.append(x)
        ys.append(y)
        seen.append(inside & (np.linalg.norm(returned, axis=-1) <= RETURN_PIXELS))
    return Correspondence(np.array(seen), np.array(xs), np.array(ys))


def step_sums(
    images: Mapping[str, np.ndarray], following: Mapping[str, Correspondence]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per transition (T - 1,): sums over followed points of |change| and of change^2 (grey levels), and their count.

    images: camera -> (T, H, W, 3) uint8; following: camera -> where each pixel goes (`follow_static`, `follow_flow`).
    Both are means over a pixel's channels.
    """
    sums = [_sums(images[view], found) for view, found in following.items()]
    absolute, squared, count = (np.sum(parts, axis=0) for parts in zip(*sums, strict=True))
    return absolute, squared, count


def _sums(pictures: np.ndarray, found: Correspondence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    change = np.abs(pictures[:-1].astype(np.int32) - found.sample(pictures[1:]))
    change *= found.seen[..., None]
    absolute, squared = (c.sum(axis=(1, 2, 3), dtype=np.int64) / 3.0 for c in (change, change * change))
    return absolute, squared, found.seen.sum(axis=(1, 2))


def flicker_error(images: Mapping[str, np.ndarray], following: Mapping[str, Correspondence]) -> float:
    """Mean absolute colour change (grey levels, 0..255) of followed points from frame to frame; NaN without any."""
    if not following:
        return float("nan")
    absolute, _, count = step_sums(images, following)
    return float(absolute.sum() / count.sum()) if count.sum() else float("nan")


def local_contrast(images: Mapping[str, np.ndarray]) -> float:
    """Mean absolute colour difference (grey levels) of neighbouring pixels: what a slip by one pixel would cost."""
    across = [np.abs(np.diff(pictures.astype(np.int16), axis=axis)) for pictures in images.values() for axis in (1, 2)]
    return float(np.mean([difference.mean() for difference in across]))


def contrast(images: Mapping[str, np.ndarray]) -> float:
    """Standard deviation of the grey values (0..255) of a view's pictures, mean over views."""
    return float(np.mean([pictures.mean(axis=-1, dtype=np.float32).std() for pictures in images.values()]))
