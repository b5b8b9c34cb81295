"""What the control branch of a small generator sees: geometry on the latent grid, exact, without an encoder.

Depth alone leaves it to the network to find out that a surface is the table, in every view anew. With calibration each
depth pixel is a point in the robot's frame: its height separates objects from the table, and its place on the table,
as sines and cosines (Mildenhall et al., 2020, equation 4), says where a pattern's fields lie, alike in all views.
"""

from typing import Final

import numpy as np

from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.geometry import MM, points
from emma.errors import EmmaError

# Edge of a cell in pixels: the autoencoder's factor.
CELL: Final = 4
# Height above the base plane where objects are, m, and where everything is.
NEAR_TABLE: Final = (-0.02, 0.08)
ANYWHERE: Final = (-0.4, 0.6)
# Wavelengths of the encoding of x and of y, m: halves of what the table measures, so that a pattern which divides it
# into fields is in step with one of them all over it. Both diagonals are encoded as well: their difference is a wave in
# x times one in y, a checker, and a network this small does not learn to multiply for every cell of a patch.
WAVES: Final = ((0.8, 0.4, 0.2, 0.1, 0.05), (0.9, 0.45, 0.225, 0.1125, 0.05625))
# Depth that the linear channel tells apart, m; beyond it only the inverse one does.
NEAR, FAR = 0.03, 1.2

_TURNS: Final = (2.0 * np.pi / np.array(WAVES, np.float32)).T[..., None, None, None]
# Height of things that stand on the table, and what lies below the table's edge, m.
THINGS: Final = (0.004, 0.06)
BELOW: Final = -0.05

CHANNELS: Final = 2 * CELL**2 + 3 + 8 * len(WAVES[0])


def control(clip: Clip) -> np.ndarray:
    """(C, T, H/4, V W/4) float32 with views joined along the width; channels of unknown points are 0.

    Per pixel, unshuffled into the cell: depth and height near the table. Per cell: inverse depth, height, whether
    the point is known, and its place in the base frame, encoded. Raises EmmaError where a view has no depth.
    """
    return describe(clip)[0]


def describe(clip: Clip) -> tuple[np.ndarray, np.ndarray]:
    """`control`, and (T, H/4, V W/4) float32: the share of each cell that is seldom seen and soon forgotten.

    Those are objects, just above the table, and the floor around it.
    """
    pairs = [_view(clip, view) for view in clip.views]
    return np.concatenate([pair[0] for pair in pairs], axis=-1), np.concatenate([pair[1] for pair in pairs], axis=-1)


def _view(clip: Clip, view: str) -> tuple[np.ndarray, np.ndarray]:
    where = _points(clip, view)
    depth = clip.depth[view] * np.float32(MM)
    known = depth > 0
    height = np.nan_to_num(where[..., 2], nan=NEAR_TABLE[0])
    linear = np.where(known, _scaled(depth, NEAR, FAR), np.float32(0.0))
    fine = [_unshuffled(linear), _unshuffled(_scaled(height, *NEAR_TABLE))]
    inverse = np.where(known, _scaled(1.0 / np.maximum(depth, np.float32(NEAR)), 1.0 / FAR, 20.0), np.float32(0.0))
    there = np.isfinite(where[..., 2]).astype(np.float32)
    coarse = _mean(np.stack([inverse, _scaled(height, *ANYWHERE), there]))
    along = _mean(np.nan_to_num(np.moveaxis(where[..., :2], -1, 0), nan=0.0)) * _TURNS
    angles = np.concatenate([along, along[:, :1] + along[:, 1:], along[:, :1] - along[:, 1:]], axis=1)
    spread = coarse[2] * np.concatenate([np.sin(angles), np.cos(angles)]).reshape(-1, *angles.shape[2:])
    rare = ((height > THINGS[0]) & (height < THINGS[1])) | (height < BELOW)
    return np.concatenate([*fine, coarse, spread]), _mean(rare.astype(np.float32))


def _points(clip: Clip, view: str) -> np.ndarray:
    if view not in clip.depth:
        raise EmmaError(
            f"camera {view} has no depth",
            found=f"depth of {', '.join(clip.depth) or 'no camera'}",
            expected="depth of every view",
            fix="name a depth model with --depth-model",
        )
    if view not in clip.cameras:
        return np.full((*clip.depth[view].shape, 3), np.nan, np.float32)
    return points(clip.depth[view], clip.cameras[view])


def _scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values from low..high to -1..1, clipped."""
    return np.asarray(np.clip((values - low) / (high - low), 0.0, 1.0) * 2.0 - 1.0, np.float32)


def _cells(image: np.ndarray) -> np.ndarray:
    """(..., H, W) to (..., H/4, W/4, 4, 4)."""
    *lead, height, width = image.shape
    if height % CELL or width % CELL:
        raise EmmaError("image size", found=f"{width} x {height}", expected=f"multiples of {CELL} pixels")
    return np.moveaxis(image.reshape(*lead, height // CELL, CELL, width // CELL, CELL), -3, -2)


def _mean(image: np.ndarray) -> np.ndarray:
    """(..., H, W) to the mean of each cell, (..., H/4, W/4)."""
    return np.asarray(_cells(image).mean(axis=(-1, -2)))


def _unshuffled(image: np.ndarray) -> np.ndarray:
    """(T, H, W) to (16, T, H/4, W/4)."""
    cells = _cells(image)
    return np.moveaxis(cells.reshape(*cells.shape[:-2], CELL * CELL), -1, 0)
