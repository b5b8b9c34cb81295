"""Is an object where it should be? Its pixels by colour against its true mask: the pixels that a policy steers by."""

import cv2
import numpy as np

from emma.dreamtransfer.metrics.palette import Palette

# How far around the object colours are judged. Elsewhere something else may rightly have the object's colour.
AROUND_PIXELS = 6
# Moments at which fewer of its pixels can be judged are left out: one pixel would decide.
MIN_PIXELS = 8


def object_iou(
    generated: np.ndarray, reference: np.ndarray, palette: Palette, segments: np.ndarray, segment: int
) -> float:
    """Mean over moments of intersection over union of the object's pixels in one view; NaN if it is never visible.

    generated, reference: (T, H, W, 3) uint8, the reference being the true picture of the prompted look; palette:
    learned from it; segments: (T, H, W) ids, the object's being `segment`. Within AROUND_PIXELS of the true mask a
    pixel looks like the object if its colour is nearer to one of the object's reference colours than to one of any
    other segment that is there at that moment. Pixels that even the true picture shows in the wrong colour (mixed ones
    on the rim, a twin in colour) are not judged: the true picture gives 1, and one without the object nearly 0.
    """
    if segment not in palette.ids:
        return float("nan")
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * AROUND_PIXELS + 1,) * 2)
    scores = []
    for picture, truth, ids in zip(generated, reference, segments, strict=True):
        inside = ids == segment
        if inside.sum() < MIN_PIXELS:
            continue
        around = cv2.dilate(inside.astype(np.uint8), kernel) > 0
        inside, present = inside[around], np.unique(ids[around])
        judged = _looks_like(palette, truth[around], present, segment) == inside
        if (inside & judged).sum() < MIN_PIXELS:
            continue
        looks = _looks_like(palette, picture[around], present, segment)
        scores.append((looks & inside & judged).sum() / ((looks | inside) & judged).sum())
    return float(np.mean(scores)) if scores else float("nan")


def _looks_like(palette: Palette, colours: np.ndarray, present: np.ndarray, segment: int) -> np.ndarray:
    """(N,) bool: which of the colours (N, 3) are nearest to `segment`, of the segments `present`."""
    distance = palette.distances(colours)
    distance[:, ~np.isin(palette.ids, present)] = np.inf
    return np.asarray(palette.ids[distance.argmin(axis=1)] == segment)
