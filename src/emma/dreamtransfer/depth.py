"""Depth for robots without depth cameras: a model's estimate, made steady over time and metric as far as possible.

A depth model sees one picture. A relative one (Depth Anything, DPT) gives inverse depth up to scale and offset, anew
for each picture (Ranftl et al., arXiv 1907.01341). Three steps bring its pictures together, all of them least squares
on inverse depth:

1. over time: a scale and an offset per frame, so that pixels that do not change colour from one frame to the next do
   not change depth either; a chain of 2 T unknowns, held weakly at what the model said;
2. to metric depth: one scale and offset per view, from points whose depth is known in that view: those of views with
   depth (or estimated before), carried over by calibration;
3. where nothing is known: metric models are believed, relative ones are spread over the working range. Then the views
   of one clip agree in range, but a point may lie at another depth in each.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.linalg import solveh_banded

from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.geometry import MM, points, project
from emma.dreamtransfer.metrics.models import DepthModel, TransformersDepth
from emma.errors import EmmaError

# A pixel stands still if its colour changes by less than this in every channel.
_STILL = 6
# Weight of what the model said against neighbouring frames; it fixes the overall scale and hardly anything else.
_PRIOR = 1e-3
# With fewer known points there is no fit.
_MIN_ANCHORS = 100
_FIT_ROUNDS = 5
_MAX_MM = 65_535


class DepthEstimate(Protocol):
    """Gives a clip the depth that it lacks."""

    def __call__(self, clip: Clip) -> Mapping[str, np.ndarray]:
        """Camera -> (T, H, W) uint16 mm for every view; depth that the clip has is returned as it is."""
        ...


@dataclass(frozen=True, kw_only=True)
class EstimatedDepth:
    """A `DepthEstimate` by a model. near_m, far_m: the range in which the robot works, where nothing else says it."""

    model: DepthModel
    near_m: float = 0.2
    far_m: float = 1.5

    def __post_init__(self) -> None:
        if not 0 < self.near_m < self.far_m:
            raise EmmaError(
                "no such working range", found=f"{self.near_m} to {self.far_m} m", expected="0 < near < far"
            )

    @classmethod
    def by_name(cls, name: str, device: str = "cpu", *, near_m: float = 0.2, far_m: float = 1.5) -> "EstimatedDepth":
        """name: a depth model of transformers on the hub, or a folder. Raises EmmaError if it cannot be had."""
        return cls(model=TransformersDepth(name, device), near_m=near_m, far_m=far_m)

    def __call__(self, clip: Clip) -> dict[str, np.ndarray]:
        depth = {view: clip.depth[view] for view in clip.views if view in clip.depth}
        # Views that see known points first: what they give may be known points of the next.
        missing = [view for view in clip.views if view not in depth]
        while missing:
            anchors = {view: carried(clip, depth, view) for view in missing}
            view = max(missing, key=lambda name: np.count_nonzero(anchors[name]))
            depth[view] = self._estimate(clip.images[view], anchors[view])
            missing.remove(view)
        return {view: depth[view] for view in clip.views}

    def _estimate(self, images: np.ndarray, anchors: np.ndarray) -> np.ndarray:
        raw = self.model(images).astype(np.float64)
        if not np.isfinite(raw).all():
            raise EmmaError("the depth model gave numbers that are not finite", found="NaN or infinity")
        inverse = raw if self.model.inverse else 1.0 / np.maximum(raw, MM)
        inverse = steady(inverse, images)
        if np.count_nonzero(anchors) >= _MIN_ANCHORS:
            scale, offset = fit(inverse[anchors > 0], 1.0 / (anchors[anchors > 0] * MM))
        elif self.model.inverse:
            low, high = np.percentile(inverse, (2, 98))
            scale = (1 / self.near_m - 1 / self.far_m) / max(high - low, 1e-9)
            offset = 1 / self.far_m - scale * low
        else:
            scale, offset = 1.0, 0.0
        metres = 1.0 / np.maximum(scale * inverse + offset, 1000.0 / _MAX_MM)
        return np.clip(np.rint(metres / MM), 1, _MAX_MM).astype(np.uint16)


def steady(inverse: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Inverse depth (T, H, W) with a scale and an offset per frame that keep still pixels of (T, H, W, 3) still."""
    frames = len(inverse)
    if frames < 2:
        return inverse
    middle, spread = float(np.median(inverse)), float(inverse.std())
    if spread == 0:
        return inverse
    values = (inverse - middle) / spread
    # Unknowns a0 b0 a1 b1 ...; the matrix is symmetric with three diagonals above the main one (solveh_banded's upper).
    bands, right = np.zeros((4, 2 * frames)), np.zeros(2 * frames)
    for t in range(frames):
        bands[3, 2 * t] += _PRIOR
        bands[3, 2 * t + 1] += _PRIOR
        right[2 * t] += _PRIOR
    for t in range(frames - 1):
        change = np.abs(images[t + 1].astype(np.int16) - images[t]).max(-1)
        still = change < _STILL
        if not still.any():
            continue
        ones = np.ones(int(still.sum()))
        row = np.stack([values[t][still], ones, -values[t + 1][still], -ones])
        block = row @ row.T / len(ones)
        for i in range(4):
            for j in range(i, 4):
                bands[3 + i - j, 2 * t + j] += block[i, j]
    solution = solveh_banded(bands, right)
    scale, offset = solution[0::2, None, None], solution[1::2, None, None]
    return np.asarray((values * scale + offset) * spread + middle)


def fit(predicted: np.ndarray, known: np.ndarray) -> tuple[float, float]:
    """Scale > 0 and offset of `predicted` (N,) to `known` (N,): least squares with outliers weighed down (Huber)."""
    weights = np.ones(len(known))
    scale, offset = 1.0, 0.0
    for _ in range(_FIT_ROUNDS):
        total = weights.sum()
        mean_x, mean_y = weights @ predicted / total, weights @ known / total
        spread = weights @ (predicted - mean_x) ** 2
        scale = float(weights @ ((predicted - mean_x) * (known - mean_y)) / max(spread, 1e-12))
        if scale <= 0:
            # Points that contradict the model say at least how far away things are.
            scale, offset = 0.0, float(np.median(known))
            break
        offset = float(mean_y - scale * mean_x)
        errors = np.abs(scale * predicted + offset - known)
        limit = 1.5 * max(float(np.median(errors)), 1e-9)
        weights = np.minimum(1.0, limit / np.maximum(errors, 1e-12))
    return scale, offset


def carried(clip: Clip, depth: Mapping[str, np.ndarray], view: str) -> np.ndarray:
    """(T, H, W) uint16 mm: points of the other views' depth as `view` sees them, the nearest of a pixel; 0 unknown."""
    shape = clip.images[view].shape[:3]
    nearest = np.full(shape, np.inf)
    if view in clip.cameras:
        for other, known in depth.items():
            if other in clip.cameras:
                _splat(nearest, *project(points(known, clip.cameras[other]), clip.cameras[view]))
    return np.where(np.isfinite(nearest), np.clip(np.rint(nearest / MM), 1, _MAX_MM), 0).astype(np.uint16)


def _splat(nearest: np.ndarray, pixels: np.ndarray, distance: np.ndarray) -> None:
    frames, height, width = nearest.shape
    with np.errstate(invalid="ignore"):
        seen = np.isfinite(pixels).all(-1) & (distance > MM)
        columns, rows = (np.where(seen, np.rint(pixels[..., i]), -1).astype(np.int64) for i in (0, 1))
    seen &= (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    moments = np.broadcast_to(np.arange(frames)[:, None, None], seen.shape)
    np.minimum.at(nearest, (moments[seen], rows[seen], columns[seen]), distance[seen])
