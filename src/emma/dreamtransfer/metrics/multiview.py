"""Do the views of a clip show one world? Colour of the same point seen from two cameras, and points a matcher finds."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations

import cv2
import numpy as np

from emma.dreamtransfer.geometry import CameraGeometry
from emma.dreamtransfer.metrics.correspondence import Correspondence, correspond

# A matcher finds little in small pictures as they are: enlarge them to this width at least.
MATCH_WIDTH = 384
# Lowe's ratio test (IJCV 2004); a match is right if it lies within this many pixels of where geometry puts the point.
LOWE_RATIO = 0.8
MATCH_PIXELS = 3.0
# Pairs by chance are drawn at every so many moments.
CHANCE_EVERY = 4


@dataclass(frozen=True)
class MultiviewError:
    """Mean absolute colour difference (grey levels, 0..255) between views at `points` pixels; NaN without any.

    chance: the same difference between pixels paired at random within the same moments: what views of two worlds with
    these colours would give. relative: error / chance with one level added to both, against 0 / 0.
    """

    error: float
    chance: float
    points: int

    @property
    def relative(self) -> float:
        return (self.error + 1.0) / (self.chance + 1.0)


@dataclass(frozen=True)
class ViewPairs:
    """Which pixels of which views show the same point: geometry only, so that many clips of one motion can share it."""

    pairs: tuple[tuple[str, str, Correspondence], ...]

    @classmethod
    def find(cls, depth: Mapping[str, np.ndarray], cameras: Mapping[str, CameraGeometry]) -> "ViewPairs":
        """All ordered pairs of views with depth (T, H, W) mm and a known pose."""
        views = [view for view in depth if view in cameras]
        return cls(
            tuple((a, b, correspond(depth[a], cameras[a], depth[b], cameras[b])) for a, b in permutations(views, 2))
        )


def multiview_error(images: Mapping[str, np.ndarray], pairs: ViewPairs) -> MultiviewError:
    """Colours of every pixel and of its point in every other view that sees it, at the same moment.

    images: camera -> (T, H, W, 3) uint8. All pixels of all ordered pairs of views count alike.
    """
    total, count = 0.0, 0
    chance: list[np.ndarray] = []
    rng = np.random.default_rng(0)
    for a, b, found in pairs.pairs:
        if a not in images or b not in images:
            continue
        there = found.sample(images[b])
        total += float(np.abs(images[a].astype(np.int16) - there)[found.seen].sum(dtype=np.int64)) / 3.0
        count += int(found.seen.sum())
        for t in range(0, len(there), CHANCE_EVERY):
            seen = found.seen[t]
            first, second = images[a][t][seen].astype(np.int16), rng.permutation(there[t][seen])
            chance.append(np.abs(first - second).mean(axis=1))
    if not count:
        return MultiviewError(float("nan"), float("nan"), 0)
    return MultiviewError(total / count, float(np.concatenate(chance).mean()), count)


def matched_points(
    images: Mapping[str, np.ndarray],
    depth: Mapping[str, np.ndarray],
    cameras: Mapping[str, CameraGeometry],
    every: int = 8,
) -> float:
    """Right matches of a classical matcher (SIFT, Lowe's ratio test) per moment and pair of views; NaN without a pair.

    A match is right if geometry sees the first pixel's point in the second view within MATCH_PIXELS; where a camera's
    pose is not known every match counts. The papers' matcher is a learned one, so numbers do not compare across them.
    Every `every`-th moment is looked at.
    """
    views, moments = list(images), range(0, len(next(iter(images.values()))), every)
    sift = cv2.SIFT.create()
    found = {view: [_describe(sift, images[view][t]) for t in moments] for view in views}
    counts: list[int] = []
    for i, a in enumerate(views):
        for b in views[i + 1 :]:
            known = all(v in depth and v in cameras for v in (a, b))
            picked = np.array(moments)
            where = (
                correspond(depth[a][picked], cameras[a].at(picked), depth[b][picked], cameras[b].at(picked), margin=0)
                if known
                else None
            )
            for n in range(len(moments)):
                first, second = _matches(found[a][n], found[b][n])
                if where is not None:
                    column, row = np.rint(first).astype(np.intp).T
                    height, width = where.seen.shape[1:]
                    row, column = np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)
                    expected = np.stack([where.x[n, row, column], where.y[n, row, column]], axis=1)
                    near = np.linalg.norm(expected - second, axis=1) <= MATCH_PIXELS
                    first = first[near & where.seen[n, row, column]]
                counts.append(len(first))
    return float(np.mean(counts)) if counts else float("nan")


def _describe(sift: "cv2.SIFT", image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 2) in the picture's own size and descriptors (N, 128)."""
    scale = max(1.0, MATCH_WIDTH / image.shape[1])
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    points, descriptors = sift.detectAndCompute(
        cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), None
    )
    if descriptors is None:
        return np.zeros((0, 2)), np.zeros((0, 128), np.float32)
    # Pixel centres at whole numbers: the enlarged picture's centre of pixel i lies at (i + 0.5) * scale - 0.5.
    return (np.array([p.pt for p in points]) + 0.5) / scale - 0.5, descriptors


def _matches(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    if len(a[0]) == 0 or len(b[0]) < 2:
        return np.zeros((0, 2)), np.zeros((0, 2))
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(a[1], b[1], k=2)
    kept = [best for best, other in pairs if best.distance < LOWE_RATIO * other.distance]
    return a[0][[m.queryIdx for m in kept]].reshape(-1, 2), b[0][[m.trainIdx for m in kept]].reshape(-1, 2)
