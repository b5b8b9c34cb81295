"""Is an object where it should be? Its pixels by colour against its true mask: the pixels that a policy steers by."""

import cv2
import numpy as np

from emma.dreamtransfer.metrics.palette import Palette

# How far around the object colours are judged. Elsewhere something else may rightly have the object's colour.
AROUND_PIXELS = 6
# Moments at which fewer pixels of the object are visible are left out: one pixel would decide.
MIN_PIXELS = 8


def object_iou(generated: np.ndarray, palette: Palette, segments: np.ndarray, segment: int) -> float:
    """Mean over moments of intersection over union of the object's pixels in one view; NaN if it is never visible.

    generated: (T, H, W, 3) uint8; palette: learned from the true pictures of the prompted look; segments: (T, H, W)
    ids, the object's being `segment`. Within AROUND_PIXELS of the true mask a generated pixel looks
    like the object if its colour is nearer to one of the object's reference colours than to one of any other segment
    that is there at that moment. The true picture gives nearly 1, one without the object nearly 0.
    """
    own = int(np.flatnonzero(palette.ids == segment)[0]) if segment in palette.ids else None
    if own is None:
        return float("nan")
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * AROUND_PIXELS + 1,) * 2)
    scores = []
    for picture, ids in zip(generated, segments, strict=True):
        true = ids == segment
        if true.sum() < MIN_PIXELS:
            continue
        around = cv2.dilate(true.astype(np.uint8), kernel) > 0
        distance = palette.distances(picture[around])
        absent = ~np.isin(palette.ids, ids[around])
        distance[:, absent] = np.inf
        looks = distance.argmin(axis=1) == own
        inside = true[around]
        scores.append((looks & inside).sum() / (looks | inside).sum())
    return float(np.mean(scores)) if scores else float("nan")
