"""Do the pictures have their edges where depth and segments have theirs? Precision, recall and F within 2 px.

Matching edge pixels within a distance is the boundary benchmark of Martin, Fowlkes and Malik (PAMI 2004), by dilation
as in the contour measure of DAVIS (Perazzi et al., CVPR 2016).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

PIXELS = 2
# On a plane 1 / depth is linear in the pixel, so its second difference is 0 whatever the slant; a jump or a crease by
# more than this (mm, or share of the depth) is an edge. Above 2 mm, twice the rounding, and below a plate's 6 mm.
EDGE_MM = 4.0
EDGE_SHARE = 0.005
# Without segments, edges this many times stronger have to be visible in colour.
STRONG = 2.0
# Canny's hysteresis thresholds: grey levels of step across an edge after the clip's brightness is scaled to 255.
LOW, HIGH = 12.0, 28.0
BRIGHTEST = 99.0


@dataclass(frozen=True)
class BoundaryScore:
    """Counts over pictures. precision: edge pixels of the pictures with geometry to explain them;
    recall: edge pixels of the geometry that the pictures show."""

    right: int
    drawn: int
    shown: int
    expected: int

    @property
    def precision(self) -> float:
        return self.right / self.drawn if self.drawn else 0.0

    @property
    def recall(self) -> float:
        return self.shown / self.expected if self.expected else 0.0

    @property
    def f(self) -> float:
        """Harmonic mean; NaN if the geometry has no edges."""
        if not self.expected:
            return float("nan")
        both = self.precision + self.recall
        return 2.0 * self.precision * self.recall / both if both else 0.0


def boundary_score(
    images: Mapping[str, np.ndarray],
    depth: Mapping[str, np.ndarray],
    segments: Mapping[str, np.ndarray] | None = None,
    patterned: Sequence[int] = (),
    every: int = 2,
) -> BoundaryScore:
    """Compare image edges with geometric edges in every view with depth, at every `every`-th moment.

    images: camera -> (T, H, W, 3) uint8; depth: camera -> (T, H, W) uint16 mm; segments: camera -> (T, H, W) ids.
    Edges that have to be seen: boundaries of segments, or without segments strong depth edges. Edges that may be seen:
    those, and every depth edge, creases included. patterned: ids of segments whose inside has edges of its own (a
    checkered table): image edges there are neither right nor wrong.
    """
    return boundary_of_bends(images, depth_bends(depth, every), segments, patterned, every)


def depth_bends(depth: Mapping[str, np.ndarray], every: int = 2) -> dict[str, np.ndarray]:
    """Camera -> `depth_bend` at every `every`-th moment: what variants share of `boundary_score`."""
    return {view: depth_bend(maps[::every]) for view, maps in depth.items()}


def boundary_of_bends(
    images: Mapping[str, np.ndarray],
    bends: Mapping[str, np.ndarray],
    segments: Mapping[str, np.ndarray] | None = None,
    patterned: Sequence[int] = (),
    every: int = 2,
) -> BoundaryScore:
    """`boundary_score` with depth as `depth_bends` gives it."""
    counts = np.zeros(4, np.int64)
    near = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * PIXELS + 1, 2 * PIXELS + 1))
    for view, pictures in images.items():
        if view not in bends:
            continue
        scale = 255.0 / max(1.0, float(np.percentile(pictures[::every], BRIGHTEST)))
        bend = bends[view]
        for n, picture in enumerate(pictures[::every]):
            drawn = image_edges(picture, scale)
            allowed = bend[n] > 1.0
            if segments is None:
                expected, ignored = bend[n] > STRONG, np.zeros(drawn.shape, bool)
            else:
                ids = segments[view][n * every]
                expected, ignored = segment_edges(ids), np.isin(ids, patterned)
            allowed = _grown(allowed | expected, near)
            judged = drawn & (allowed | ~ignored)
            shown = expected & _grown(drawn, near)
            counts += [(judged & allowed).sum(), judged.sum(), shown.sum(), expected.sum()]
    return BoundaryScore(*(int(c) for c in counts))


def image_edges(picture: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """(H, W) bool: one-pixel edges of an RGB picture by Canny, in each pixel on the channel with the strongest step."""
    smooth = cv2.GaussianBlur(picture.astype(np.float32) * scale, (0, 0), 0.8)
    # Sobel's kernel gives 8 times the slope; a slope of one level a pixel becomes 1.
    dx, dy = (cv2.Sobel(smooth, cv2.CV_32F, *order, ksize=3, scale=1.0 / 8.0) for order in ((1, 0), (0, 1)))
    strongest = (dx * dx + dy * dy).argmax(axis=-1)[..., None]
    dx, dy = (np.take_along_axis(d, strongest, -1)[..., 0] * 16.0 for d in (dx, dy))
    # A blurred step of s levels has a slope of about s / 3 a pixel at its middle; 16 keeps fractions in integers.
    edges = cv2.Canny(dx.astype(np.int16), dy.astype(np.int16), LOW / 3.0 * 16.0, HIGH / 3.0 * 16.0, L2gradient=True)
    return np.asarray(edges > 0)


def depth_bend(depth: np.ndarray) -> np.ndarray:
    """(T, H, W) float32: how far depth departs from a plane, in units of the edge threshold; 0 where it is unknown."""
    d = depth.astype(np.float32)
    unknown = d == 0
    d[unknown] = np.nan
    w = 1.0 / d
    bend = np.zeros_like(d)
    for axis in (1, 2):
        inner = np.abs(np.diff(w, 2, axis=axis))
        pad = [(0, 0)] * 3
        pad[axis] = (1, 1)
        bend = np.fmax(bend, np.pad(inner, pad))
    return np.nan_to_num(bend * d * d / np.maximum(EDGE_MM, EDGE_SHARE * d))


def segment_edges(ids: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels whose right or lower neighbour belongs to another segment."""
    edges = np.zeros(ids.shape, bool)
    edges[:, :-1] |= ids[:, 1:] != ids[:, :-1]
    edges[:-1] |= ids[1:] != ids[:-1]
    return edges


def _grown(mask: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0)
