"""One colour for one point: generated pixels that show the same place are brought together, over time and views.

With depth and poses every pixel is a point in the robot's frame. Points that share a cell of a fine grid show the same
surface; a generator draws it a little differently in every frame and view, and their mean removes that. Nearer cameras
see finer and count more, so a wrist camera sharpens what a distant one only guesses; a view that draws one place
differently every time counts less. A cell whose colours disagree over time holds something that moves; there only
pixels of the same moment are brought together.

Which pixels share a cell follows from depth and poses alone: `Fusion` sorts them once a clip and serves all variants.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from emma.datasets.spill_arrays import empty
from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.geometry import MM, points

# Edge of the finest cells, m, and how many grids follow, each of twice the edge of the one before: a flat surface takes
# its colour from the coarsest that is still of one colour.
FINEST: Final = 0.006
COARSER: Final = 3
# How many sets of grids lie beside each other, and what shifts each against the one before, in edges of the coarsest:
# multiples of it fill a cell evenly (Roberts' generalisation of the golden ratio to three dimensions).
GRIDS: Final = 8
SHIFT: Final = np.array([0.8191725, 0.6710436, 0.5497005])
# Standard deviation of colour, grey levels, up to which a fine cell is one surface and a coarse one flat.
SAME: Final = 48.0
FLAT: Final = 10.0
# Spread of one view's colours in a fine cell, grey levels, at which it counts half.
STEADY: Final = 6.0
# Cells of fewer pixels are left to coarser ones.
FEWEST: Final = 3
# No camera counts for more than one at this distance, m.
NEAREST: Final = 0.02
_OFFSET: Final = 1 << 18
# Pixels fused at a time: each costs some 200 bytes.
AT_ONCE: Final = 8 << 20


class Fusion:
    """Agreeing colours for all variants of one clip."""

    def __init__(self, clip: Clip, at_once: int = AT_ONCE) -> None:
        """Clips of more than `at_once` pixels are fused in stretches, each together with the same moments spread over
        all of the clip, so that the stretches agree; their correspondences are not kept."""
        self._clip, self._at_once = clip, at_once
        self._kept: _Correspondences | None = None

    def fits(self, clip: Clip) -> bool:
        """Whether `clip` has the very depth and poses that this was made for."""
        mine = self._clip
        return (
            mine.views == clip.views
            and {v: id(d) for v, d in mine.depth.items()} == {v: id(d) for v, d in clip.depth.items()}
            and {v: id(c) for v, c in mine.cameras.items()} == {v: id(c) for v, c in clip.cameras.items()}
        )

    def __call__(self, images: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """camera -> (T, H, W, 3) uint8 to the same; views without depth or pose are returned as they are."""
        clip = self._clip
        if len(clip.stretches(self._at_once)) == 1:
            if self._kept is None:
                self._kept = _Correspondences(clip)
            return self._kept.fuse(images)
        stretches = clip.stretches(self._at_once // 2)
        spread = np.unique(np.linspace(0, len(clip) - 1, stretches[0][1]).round().astype(int))
        fused = {view: empty(pictures.shape, np.uint8) for view, pictures in images.items()}
        for start, stop in stretches:
            moments = np.union1d(spread, np.arange(start, stop))
            own = np.isin(moments, np.arange(start, stop))
            part = _Correspondences(clip.at(moments)).fuse({view: images[view][moments] for view in images})
            for view, pictures in part.items():
                fused[view][start:stop] = pictures[own]
        return fused


class _Correspondences:
    """The known pixels of a clip, N of all views, in the order of their cells in each set of grids."""

    def __init__(self, clip: Clip) -> None:
        self._views = tuple(view for view in clip.views if view in clip.depth and view in clip.cameras)
        self._known = {view: clip.depth[view] > 0 for view in self._views}
        self._grids: list[_Grids] = []
        if not self._views:
            return
        known = self._known
        place = np.concatenate([points(clip.depth[v], clip.cameras[v])[known[v]] for v in self._views])
        depth = np.concatenate([clip.depth[v][known[v]] for v in self._views]).astype(np.float32) * MM
        moment = np.concatenate([np.nonzero(known[v])[0] for v in self._views])
        camera = np.concatenate([np.full(known[v].sum(), n) for n, v in enumerate(self._views)])
        share = 1.0 / np.maximum(depth, NEAREST)
        # Where one set of grids has an edge the others have none, so no edge is seen.
        coarsest = FINEST * 2**COARSER
        shifts = [n * SHIFT % 1.0 * coarsest for n in range(GRIDS)]
        self._grids = [_Grids(place + shift, camera, moment, share) for shift in shifts] if len(place) else []

    def fuse(self, images: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        fused = dict(images)
        if not self._grids:
            return fused
        color = np.concatenate([images[view][self._known[view]] for view in self._views])
        out = np.zeros(color.shape, np.float32)
        for grids in self._grids:
            grids.add_fused(color, out)
        start = 0
        for view in self._views:
            known = self._known[view]
            count = int(known.sum())
            fused[view] = images[view].copy()
            fused[view][known] = np.rint(out[start : start + count] / GRIDS).astype(np.uint8)
            start += count
        return fused


@dataclass(frozen=True)
class _Sums:
    """Per cell: weight (C,), weighted colour (C, 3), weighted squared colour over the channels (C,)."""

    weight: np.ndarray
    color: np.ndarray
    square: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        return np.asarray(self.color / self.weight[:, None])

    @property
    def spread(self) -> np.ndarray:
        """(C,) standard deviation of the colours, grey levels, over the three channels."""
        variance = self.square / self.weight - (self.mean**2).sum(1)
        return np.sqrt(np.maximum(variance, 0.0) / 3.0)

    def scaled(self, factor: np.ndarray) -> "_Sums":
        return _Sums(self.weight * factor, self.color * factor[:, None], self.square * factor)

    def joined(self, starts: np.ndarray) -> "_Sums":
        """Of coarser cells, each a run of these that begins at `starts`."""
        return _Sums(*(np.add.reduceat(sums, starts) for sums in (self.weight, self.color, self.square)))

    def with_color(self, color: np.ndarray, where: np.ndarray) -> "_Sums":
        """The cells of `where` (C,) bool now hold one colour each, that of `color` (C, 3)."""
        one = self.weight[:, None] * color
        square = self.weight * (color**2).sum(1)
        return _Sums(self.weight, np.where(where[:, None], one, self.color), np.where(where, square, self.square))

    def with_pixels(self, color: np.ndarray, share: np.ndarray, cell: np.ndarray, where: np.ndarray) -> "_Sums":
        """The cells of `where` (C,) bool now hold pixels of `color` (M, 3) and weight `share` (M,) in `cell` (M,)."""
        many = len(self.weight)
        sums = np.stack([np.bincount(cell, share * channel, many) for channel in color.T], axis=1)
        square = np.bincount(cell, share * (color**2).sum(1), many)
        return _Sums(self.weight, np.where(where[:, None], sums, self.color), np.where(where, square, self.square))


class _Grids:
    """Pixels in the order of their fine cells, those of one coarser cell together (a Morton order), one view a run."""

    def __init__(self, place: np.ndarray, camera: np.ndarray, moment: np.ndarray, share: np.ndarray) -> None:
        index = np.floor(place / FINEST).astype(np.int64) + _OFFSET
        key = np.zeros(len(place), np.int64)
        for axis in range(3):
            key = key * (2 * _OFFSET >> COARSER) + (index[:, axis] >> COARSER)
        for bit in reversed(range(COARSER)):
            for axis in range(3):
                key = key * 2 + (index[:, axis] >> bit & 1)
        views = int(camera.max()) + 1
        key = key * views + camera
        self._order = np.argsort(key, kind="stable").astype(np.int32)
        key = key[self._order]
        self._share = share[self._order].astype(np.float64)
        self._moment = moment[self._order].astype(np.int64)
        self._runs = _starts(key)
        self._weight = np.add.reduceat(self._share, self._runs)
        cells = key[self._runs] // views
        # up[0]: where each fine cell begins among the runs; up[n]: where each coarser one begins among those of n - 1.
        # within[n]: (F,) the cell of grid n that holds each of the F fine cells.
        self._up, self._within = [_starts(cells)], []
        cells = cells[self._up[0]]
        self._within.append(np.arange(len(cells)))
        for _ in range(COARSER):
            cells = cells >> 3
            self._up.append(_starts(cells))
            self._within.append(_numbers(self._up[-1], len(cells))[self._within[-1]])
            cells = cells[self._up[-1]]
        pixels = np.diff(np.append(self._runs, len(key)))
        self._count = []
        for starts in self._up:
            pixels = np.add.reduceat(pixels, starts)
            self._count.append(pixels)
        self._fine = np.repeat(np.arange(len(self._count[0]), dtype=np.int32), self._count[0])

    def add_fused(self, color: np.ndarray, out: np.ndarray) -> None:
        """Add to `out` (N, 3) the colour of each pixel's cell over all time where the cell holds one surface, else of
        its moment. color: (N, 3) uint8."""
        channels = np.ascontiguousarray(color[self._order].T, np.float64)
        runs = _Sums(
            self._weight,
            np.stack([np.add.reduceat(self._share * channel, self._runs) for channel in channels], axis=1),
            np.add.reduceat(self._share * (channels**2).sum(0), self._runs),
        )
        steady = 1.0 / (1.0 + (runs.spread / STEADY) ** 2)
        cells = [runs.scaled(steady).joined(self._up[0])]
        for starts in self._up[1:]:
            cells.append(cells[-1].joined(starts))

        still = np.zeros(len(self._count[0]), bool)
        surface = np.zeros((len(still), 3))
        for n, sums in enumerate(cells):
            # What few pixels show finely may still be one surface with its surroundings.
            alike = (self._count[n] >= FEWEST) & (sums.spread <= (FLAT if n else SAME))
            new = ~still & alike[self._within[n]]
            surface[new] = sums.mean[self._within[n][new]]
            still |= new
        current = cells[0].with_color(surface, still)

        moving = np.flatnonzero(~still[self._fine])
        if len(moving):
            share = (self._share * np.repeat(steady, np.diff(np.append(self._runs, len(self._order)))))[moving]
            # The moment becomes part of the cell: only what is seen at the same time is one thing there.
            cell = self._within[1][self._fine[moving]] * (self._moment.max() + 1) + self._moment[moving]
            here, _ = pd.factorize(cell)
            total = np.bincount(here, share)
            passing = np.stack([np.bincount(here, share * channel[moving]) / total for channel in channels], axis=1)[
                here
            ]
            current = current.with_pixels(passing, share, self._fine[moving], ~still)

        for n in range(1, COARSER + 1):
            sums = current
            for starts in self._up[1 : n + 1]:
                sums = sums.joined(starts)
            flat = still & (sums.spread <= FLAT)[self._within[n]]
            surface[flat] = sums.mean[self._within[n][flat]]
            current = current.with_color(surface, flat)

        fused = surface.astype(np.float32)[self._fine]
        if len(moving):
            fused[moving] = passing
        out[self._order] += fused


def _numbers(starts: np.ndarray, count: int) -> np.ndarray:
    """(count,) the number of the run that each of `count` things is in."""
    return np.repeat(np.arange(len(starts)), np.diff(np.append(starts, count)))


def _starts(key: np.ndarray) -> np.ndarray:
    """Where a new value begins in sorted `key`."""
    return np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
