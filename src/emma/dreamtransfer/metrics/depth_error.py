"""Is the generated picture's geometry the clip's? Squared relative error of the depth that its pictures suggest.

Sq.Rel is the mean of (d' - d)^2 / d in metres (Eigen, Puhrsch and Fergus, NeurIPS 2014). d' comes from a depth model,
or, in the simulator, from which segment each pixel looks like.
"""

from collections.abc import Mapping

import cv2
import numpy as np

from emma.dreamtransfer.geometry import MM
from emma.dreamtransfer.metrics.palette import Palette

# Farther than this a depth camera's values say little, and one such pixel would outweigh a table (m).
MAX_M = 5.0


def squared_relative(estimate: np.ndarray, depth: np.ndarray) -> float:
    """Mean of (d' - d)^2 / d in metres over pixels with known depth below MAX_M; NaN without any.

    estimate: (T, H, W) m; depth: (T, H, W) uint16 mm.
    """
    known = (depth > 0) & (depth < MAX_M / MM) & np.isfinite(estimate)
    if not known.any():
        return float("nan")
    d = depth[known] * MM
    return float(np.mean(np.square(np.clip(estimate[known], 0.0, MAX_M) - d) / d))


def align(prediction: np.ndarray, depth: np.ndarray, *, inverse: bool) -> np.ndarray:
    """(T, H, W) m: a model's prediction brought to the scale of `depth`, with one fit for all moments of a view.

    inverse: the prediction is relative inverse depth; scale and shift are fitted by least squares in 1 / depth, as in
    Ranftl et al. (PAMI 2020). Otherwise it is depth but for a factor: the ratio of medians. One fit for all moments,
    because a scale that wanders from frame to frame is an error of the pictures.
    """
    known = (depth > 0) & (depth < MAX_M / MM) & np.isfinite(prediction)
    if not known.any():
        return np.full(prediction.shape, np.nan)
    p, d = prediction[known].astype(np.float64), depth[known] * MM
    if not inverse:
        return np.asarray(prediction * (np.median(d) / max(1e-9, float(np.median(p)))))
    scale, shift = np.linalg.lstsq(np.stack([p, np.ones_like(p)], axis=1), 1.0 / d, rcond=None)[0]
    return np.asarray(1.0 / np.maximum(prediction * scale + shift, 1.0 / MAX_M))


def suggested_depth(
    generated: np.ndarray, reference: np.ndarray, palette: Palette, segments: np.ndarray, depth: np.ndarray
) -> np.ndarray:
    """(T, H, W) m: the depth of the nearest pixel of the segment that each pixel looks like: the simulator's own check.

    generated, reference: (T, H, W, 3) uint8, the reference being the true picture of the prompted look; palette:
    learned from it; segments: (T, H, W) ids; depth: (T, H, W) mm. A missing cube suggests the table's depth where the
    cube should be. A pixel nearly as close to its own segment's colours as to another's has the benefit of the doubt.
    """
    result = depth * MM
    for picture, truth, ids, metres in zip(generated, reference, segments, result, strict=True):
        looks = _looks(palette, picture, ids)
        # Where even the true picture looks like something else (a rim, a twin in colour), nothing can be said.
        wrong = (looks != ids) & (_looks(palette, truth, ids) == ids)
        measured = metres.copy()
        for segment in np.unique(looks[wrong]):
            there = ids == segment
            _, nearest = cv2.distanceTransformWithLabels(
                (~there).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
            )
            of_label = np.zeros(int(nearest.max()) + 1)
            of_label[nearest[there]] = measured[there]
            replaced = wrong & (looks == segment)
            metres[replaced] = of_label[nearest[replaced]]
    return np.asarray(result)


def simulator_depth_error(
    generated: Mapping[str, np.ndarray],
    reference: Mapping[str, np.ndarray],
    palettes: Mapping[str, Palette],
    segments: Mapping[str, np.ndarray],
    depth: Mapping[str, np.ndarray],
    every: int = 4,
) -> float:
    """Sq.Rel (m) of `suggested_depth` over all views, at every `every`-th moment."""
    errors = []
    for view in generated:
        some = slice(None, None, every)
        suggested = suggested_depth(
            generated[view][some], reference[view][some], palettes[view], segments[view][some], depth[view][some]
        )
        errors.append(squared_relative(suggested, depth[view][some]))
    return float(np.nanmean(errors))


# A pixel leaves its own segment only for a colour that is nearer by this much (CIE 1976 difference).
_DOUBT = 5.0


def _looks(palette: Palette, picture: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """(H, W): the segment that each pixel's colour is nearest to, of those in the picture."""
    distance = palette.distances(picture)
    distance[..., ~np.isin(palette.ids, ids)] = np.inf
    own = np.searchsorted(palette.ids, ids)[..., None]
    np.put_along_axis(distance, own, np.take_along_axis(distance, own, -1) - _DOUBT, -1)
    return np.asarray(palette.ids[distance.argmin(axis=-1)])
