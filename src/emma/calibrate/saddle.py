"""Where two black and two white fields meet, to a few hundredths of a pixel.

The smoothed picture has a saddle there; a quadratic is fitted to it and its stationary point taken, again around each
new place (Lucchese and Mitra, "Using saddle points for subpixel feature detection in camera calibration targets",
2002).
"""

import cv2
import numpy as np

# Smoothing of the picture, px: the edges of a sharp picture are narrower than a quadratic can follow.
BLUR_PX = 1.0
STEPS = 5
# A fit that wanders further than this from where it began has found something else.
FAR_PX = 1.0


def refine(gray: np.ndarray, pixels: np.ndarray, halves: np.ndarray) -> np.ndarray:
    """(N, 2) float32 corners near `pixels` (N, 2), column and row, in a picture (H, W) uint8; NaN without a saddle.

    halves (N,) int: half the width of each corner's window, px.
    """
    smooth = cv2.GaussianBlur(gray.astype(np.float32), (0, 0), BLUR_PX)
    out = pixels.astype(np.float32)
    for half in np.unique(halves):
        chosen = halves == half
        out[chosen] = _saddles(smooth, out[chosen], int(half))
    return out


def _saddles(smooth: np.ndarray, start: np.ndarray, half: int) -> np.ndarray:
    grid = np.mgrid[-half : half + 1, -half : half + 1].reshape(2, -1).astype(np.float32)
    y, x = grid
    weight = np.exp(-(x**2 + y**2) / (2 * (half / 1.5) ** 2))
    terms = np.stack([x * x, x * y, y * y, x, y, np.ones_like(x)], axis=1)
    fit = (np.linalg.pinv(terms * weight[:, None]) * weight).T
    at = start.copy()
    for _ in range(STEPS):
        near = np.nan_to_num(at)
        values = cv2.remap(smooth, near[:, :1] + x, near[:, 1:] + y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        xx, xy, yy, dx, dy, _ = (values @ fit).T
        turn = 4 * xx * yy - xy**2
        with np.errstate(divide="ignore", invalid="ignore"):
            at = at + np.stack([xy * dy - 2 * yy * dx, xy * dx - 2 * xx * dy], axis=1) / turn[:, None]
            at[(turn >= 0) | ~(np.abs(at - start).max(axis=1) < FAR_PX)] = np.nan
    return np.asarray(at, np.float32)
