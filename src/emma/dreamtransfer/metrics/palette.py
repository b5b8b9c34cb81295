"""Which segment a colour looks like, learned from a reference picture of the same scene (the true re-render)."""

from dataclasses import dataclass

import cv2
import numpy as np

# Colours per segment (its faces, shades and highlights), and pixels from which they are learned.
COLOURS = 6
SAMPLES = 3000
# Colours are looked up on a grid of 2^6 levels a channel.
BITS = 6


@dataclass(frozen=True)
class Palette:
    """Distance in CIE L*a*b* (1976) from every RGB colour to the nearest reference colour of each segment.

    ids: (S,) segments; distance: (2^18, S) float32, infinite for segments never seen.
    """

    ids: np.ndarray
    distance: np.ndarray

    @classmethod
    def learn(cls, reference: np.ndarray, segments: np.ndarray) -> "Palette":
        """reference: (T, H, W, 3) uint8 pictures; segments: (T, H, W) ids of their pixels. Same result every time."""
        cv2.setRNGSeed(0)
        ids = np.unique(segments)
        grid = _lab(_grid())
        columns = []
        flat, labels = reference.reshape(-1, 3), segments.reshape(-1)
        for segment in ids:
            there = np.flatnonzero(labels == segment)
            chosen = _lab(flat[there[:: max(1, len(there) // SAMPLES)]])
            columns.append(_nearest(grid, _centres(chosen)))
        return cls(ids=ids, distance=np.stack(columns, axis=1))

    def distances(self, picture: np.ndarray) -> np.ndarray:
        """(..., S) float32: distance of each pixel's colour (..., 3) uint8 to each segment's colours."""
        r, g, b = (picture[..., i].astype(np.intp) >> (8 - BITS) for i in range(3))
        return np.asarray(self.distance[(r << (2 * BITS)) | (g << BITS) | b])


def _grid() -> np.ndarray:
    """(2^18, 3) uint8: the middle of every cell."""
    levels = np.arange(1 << BITS, dtype=np.uint8) * (1 << (8 - BITS)) + (1 << (7 - BITS))
    return np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)


def _lab(rgb: np.ndarray) -> np.ndarray:
    """(N, 3) float32 L*a*b* of (N, 3) uint8 sRGB."""
    return np.asarray(cv2.cvtColor(rgb[None].astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)[0])


def _centres(lab: np.ndarray) -> np.ndarray:
    k = min(COLOURS, len(np.unique(lab, axis=0)))
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    # OpenCV takes no labels to start from; its stubs do not know.
    return np.asarray(cv2.kmeans(lab, k, None, stop, 1, cv2.KMEANS_PP_CENTERS)[2])  # type: ignore[call-overload]


def _nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    # |p - c|^2 = |p|^2 - 2 p c + |c|^2, so that the work is one matrix product.
    among = (centres * centres).sum(axis=1) - 2.0 * (points @ centres.T)
    return np.sqrt(np.maximum((points * points).sum(axis=1) + among.min(axis=1), 0.0))
