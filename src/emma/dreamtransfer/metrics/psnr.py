"""Peak signal-to-noise ratio against a reference of the same motion, for instance the simulator's true re-render."""

import math
from collections.abc import Mapping

import numpy as np

PEAK = 255.0


def psnr_db(generated: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]) -> float:
    """10 log10(255^2 / MSE) in dB over every pixel, channel, moment and view together; infinite where equal.

    generated, reference: camera -> (T, H, W, 3) uint8. One MSE over all, since a mean of decibels would reward a clip
    that is perfect in one view and wrong in the other.
    """
    squares = [np.square(np.subtract(generated[c], reference[c], dtype=np.float32)) for c in reference]
    mse = sum(float(s.sum(dtype=np.float64)) for s in squares) / sum(s.size for s in squares)
    return 10.0 * math.log10(PEAK**2 / mse) if mse > 0.0 else math.inf
