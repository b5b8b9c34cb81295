"""One colour for one point: generated pixels that show the same place are brought together, over time and views.

With depth and poses every pixel is a point in the robot's frame. Points that share a cell of a fine grid show the same
surface; a generator draws it a little differently in every frame and view, and their mean removes that. Nearer cameras
see finer and count more, so a wrist camera sharpens what a distant one only guesses; a view that draws one place
differently every time counts less. A cell whose colours disagree over
time holds something that moves; there only pixels of the same moment are brought together.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from emma.datasets.spill_arrays import empty
from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.geometry import MM, points

# Edges of the grids, m, finest first, each twice the one before: a flat surface takes its colour from the coarsest that
# is still of one colour.
CELLS: Final = (0.006, 0.012, 0.024, 0.048)
# How many grids lie beside each other, and what shifts each against the one before, in edges of the coarsest: multiples
# of it fill a cell evenly (Roberts' generalisation of the golden ratio to three dimensions).
GRIDS: Final = 8
SHIFT: Final = np.array([0.8191725, 0.6710436, 0.5497005])
# Standard deviation of colour, grey levels, up to which a fine cell is one surface and a coarse one flat.
SAME: Final = 48.0
FLAT: Final = 10.0
# Spread of one view's colours in a fine cell, grey levels, at which it counts half.
STEADY: Final = 6.0
# Fewer pixels than this say nothing of a cell.
FEWEST: Final = 3
# No camera counts for more than one at this distance, m.
NEAREST: Final = 0.02
_OFFSET: Final = 1 << 18
# Pixels fused at a time: each costs some 200 bytes.
AT_ONCE: Final = 8 << 20


def fuse(images: Mapping[str, np.ndarray], clip: Clip, at_once: int = AT_ONCE) -> dict[str, np.ndarray]:
    """camera -> (T, H, W, 3) uint8 with agreeing colours. Views without depth or pose are returned as they are.

    Clips of more than `at_once` pixels are fused in stretches, each together with the same moments spread over all of
    the clip, so that the stretches agree.
    """
    if len(clip.stretches(at_once)) == 1:
        return _together(images, clip)
    stretches = clip.stretches(at_once // 2)
    spread = np.unique(np.linspace(0, len(clip) - 1, stretches[0][1]).round().astype(int))
    fused = {view: empty(pictures.shape, np.uint8) for view, pictures in images.items()}
    for start, stop in stretches:
        moments = np.union1d(spread, np.arange(start, stop))
        own = np.isin(moments, np.arange(start, stop))
        part = _together({view: pictures[moments] for view, pictures in images.items()}, clip.at(moments))
        for view, pictures in part.items():
            fused[view][start:stop] = pictures[own]
    return fused


def _together(images: Mapping[str, np.ndarray], clip: Clip) -> dict[str, np.ndarray]:
    views = [view for view in images if view in clip.depth and view in clip.cameras]
    fused = dict(images)
    if not views:
        return fused
    where = {view: points(clip.depth[view], clip.cameras[view]) for view in views}
    known = {view: clip.depth[view] > 0 for view in views}
    place = np.concatenate([where[view][known[view]] for view in views])
    color = np.concatenate([images[view][known[view]] for view in views]).astype(np.float32)
    depth = np.concatenate([clip.depth[view][known[view]] for view in views]).astype(np.float32) * MM
    moment = np.concatenate([np.nonzero(known[view])[0] for view in views])
    camera = np.concatenate([np.full(known[view].sum(), n) for n, view in enumerate(views)])
    share = 1.0 / np.maximum(depth, NEAREST)

    # Grids beside each other: where one has an edge the others have none, so no edge is seen.
    shifts = [n * SHIFT % 1.0 * CELLS[-1] for n in range(GRIDS)]
    out = np.zeros_like(color)
    for shift in shifts:
        out += _fused(place + shift, color, share, camera, moment, len(clip))
    out /= GRIDS

    start = 0
    for view in views:
        count = int(known[view].sum())
        picture = images[view].copy()
        picture[known[view]] = np.rint(out[start : start + count]).astype(np.uint8)
        fused[view] = picture
        start += count
    return fused


def _fused(
    place: np.ndarray, color: np.ndarray, share: np.ndarray, camera: np.ndarray, moment: np.ndarray, moments: int
) -> np.ndarray:
    """(N, 3) colours of N pixels: of their cell over all time where it holds one surface, else of their moment."""
    out, still = color.copy(), np.zeros(len(color), bool)
    cells = dict(zip(CELLS, _cells(place), strict=True))
    own, _ = pd.factorize(cells[CELLS[0]].astype(np.int64) * (camera.max() + 1) + camera)
    share = share / (1.0 + (_means(own, color, share).spread / STEADY) ** 2)[own]
    for edge in CELLS:
        cell, found = cells[edge], _means(cells[edge], color, share)
        # What few pixels show finely may still be one surface with its surroundings.
        alike = (found.count >= FEWEST) & (found.spread <= (SAME if edge == CELLS[0] else FLAT))
        new = ~still & alike[cell]
        out[new] = found.mean[cell[new]]
        still |= new
    moving = ~still
    if moving.any():
        # The moment becomes part of the cell: only what is seen at the same time is one thing there.
        here, _ = pd.factorize(cells[CELLS[1]][moving].astype(np.int64) * moments + moment[moving])
        out[moving] = _means(here, color[moving], share[moving]).mean[here]
    for edge in CELLS[1:]:
        cell, coarse = cells[edge], _means(cells[edge], out, share)
        flat = still & (coarse.spread <= FLAT)[cell]
        out[flat] = coarse.mean[cell[flat]]
    return out


@dataclass(frozen=True)
class _Means:
    """Per cell: weighted mean colour (C, 3), its spread (C,) and the pixels in it (C,)."""

    mean: np.ndarray
    spread: np.ndarray
    count: np.ndarray


def _cells(place: np.ndarray) -> Iterator[np.ndarray]:
    """For each grid, finest first, (N,) the number of each point's cell among those that hold points, from 0."""
    index = np.floor(place / CELLS[0]).astype(np.int64) + _OFFSET
    # By hashing: sorting a million numbers takes most of an episode's time.
    found, keys = pd.factorize((index[:, 0] * (2 * _OFFSET) + index[:, 1]) * (2 * _OFFSET) + index[:, 2])
    yield np.asarray(found)
    # Eight cells make one of the next grid, so there only cells are counted, not points.
    corner = np.stack([keys // (2 * _OFFSET) ** 2, keys // (2 * _OFFSET) % (2 * _OFFSET), keys % (2 * _OFFSET)], axis=1)
    for _ in CELLS[1:]:
        corner //= 2
        part, _ = pd.factorize((corner[:, 0] * (2 * _OFFSET) + corner[:, 1]) * (2 * _OFFSET) + corner[:, 2])
        yield np.asarray(part)[found]


def _means(member: np.ndarray, color: np.ndarray, share: np.ndarray) -> _Means:
    """member: (N,) cell of each pixel. A channel at a time: arrays of all pixels and channels leave the cache."""
    total = np.bincount(member, share)
    count = np.bincount(member)
    means, square = [], np.zeros(len(total))
    for channel in np.ascontiguousarray(color.T):
        mean = np.bincount(member, share * channel) / total
        square += np.bincount(member, share * (channel - mean[member]) ** 2) / total
        means.append(mean)
    return _Means(np.stack(means, axis=1), np.sqrt(square / 3.0), count)
