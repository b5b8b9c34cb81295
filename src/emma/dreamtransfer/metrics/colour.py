"""Do things have the colours that the prompt names? Their colours with the light taken out, and the nearest name.

The light is measured by two cards, pictures in which everything is black or mid-grey: rendering is linear in a
surface's own colour, so that picture = dark + (grey - dark) / 0.5 x colour at every pixel, shine included in `dark`.
"""

import math
from collections.abc import Mapping

import cv2
import numpy as np

Rgb = tuple[float, float, float]

GREY = 0.5
# A pixel whose cards differ by less says too little about its colour (grey levels, of 255).
MIN_LIGHT = 6.0
# Fewer pixels than this over a whole clip are not a segment that one could name the colour of.
MIN_PIXELS = 20


def surface_colours(
    pictures: np.ndarray, dark: np.ndarray, grey: np.ndarray, segments: np.ndarray, segment: int
) -> np.ndarray:
    """(N, 3) float32 colours, 0..1 where possible, of a segment's pixels without the light; its rim is left out.

    pictures, dark, grey: (T, H, W, 3) uint8 of the same moments, the cards under the prompted light.
    """
    kernel = np.ones((3, 3), np.uint8)
    inside = np.stack([cv2.erode((ids == segment).astype(np.uint8), kernel) > 0 for ids in segments])
    light = grey[inside].astype(np.float32) - dark[inside]
    lit = light.min(axis=1, initial=255.0) >= MIN_LIGHT
    return np.asarray((pictures[inside][lit].astype(np.float32) - dark[inside][lit]) / light[lit] * GREY)


def name_of(colour: np.ndarray, names: Mapping[str, Rgb]) -> str:
    """The nearest of the named colours (RGB distance)."""
    return min(names, key=lambda name: float(np.linalg.norm(colour - np.asarray(names[name]))))


def name_of_surface(colours: np.ndarray, names: Mapping[str, Rgb]) -> str | None:
    """The name of the median colour (N, 3); None for too few pixels."""
    return name_of(np.median(colours, axis=0), names) if len(colours) >= MIN_PIXELS else None


def pattern_names(
    colours: np.ndarray, reference: np.ndarray, wanted: tuple[Rgb, Rgb], names: Mapping[str, Rgb]
) -> tuple[str, str] | None:
    """The two names of a patterned segment, in no order; None for too few pixels.

    colours, reference: (N, 3) surface colours of the generated and the true picture; wanted: the two colours of the
    prompt. Two k-means centres stand for the pattern's colours. Blur and a pattern's own mixtures pull them together:
    they are moved apart by the factor that the true picture needs.
    """
    if min(len(colours), len(reference)) < MIN_PIXELS:
        return None
    first, second = _two_centres(colours)
    true_first, true_second = _two_centres(reference)
    apart = math.dist(*wanted) / max(1e-3, math.dist(true_first, true_second))
    middle, half = (first + second) / 2.0, (first - second) / 2.0 * apart
    return name_of(middle + half, names), name_of(middle - half, names)


def _two_centres(colours: np.ndarray) -> np.ndarray:
    """(2, 3): k-means with k = 2, the same result every time."""
    cv2.setRNGSeed(0)
    data = np.ascontiguousarray(colours[:: max(1, len(colours) // 5000)], np.float32)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 30, 1e-3)
    # OpenCV takes no labels to start from; its stubs do not know.
    return np.asarray(cv2.kmeans(data, 2, None, stop, 3, cv2.KMEANS_PP_CENTERS)[2])  # type: ignore[call-overload]
