"""One colour for one point: generated pixels that show the same place are brought together, over time and views.

With depth and poses every pixel is a point in the robot's frame. Points that share a cell of a fine grid show the same
surface; a generator draws it a little differently in every frame and view, and their mean removes that. Nearer cameras
see finer and count more, so a wrist camera sharpens what a distant one only guesses; a view that draws one place
differently every time counts less. A cell whose colours disagree over time holds something that moves; there only
pixels of the same moment are brought together.

Which pixels share a cell follows from depth and poses alone: `Fusion` works it out once a clip and serves all variants.
Cells are made of grains, small enough that every set of grids is a way to put the same grains together, so the pixels
themselves are summed once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from emma.datasets.spill_arrays import empty
from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.geometry import MM, points

# Edge of the finest cells, m, and how many grids follow, each of twice the edge of the one before: a flat surface takes
# its colour from the coarsest that is still of one colour.
FINEST: Final = 0.006
COARSER: Final = 3
# Edges of a fine cell are 2^GRAINS grains long.
GRAINS: Final = 2
# How many sets of grids lie beside each other, and what shifts each against the one before, in edges of the coarsest:
# multiples of it, rounded to grains, fill a cell evenly (Roberts' generalisation of the golden ratio to three
# dimensions).
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
# Bits of a grain's number along each axis.
_BITS: Final = 20
# Pixels fused at a time: each costs some 200 bytes.
AT_ONCE: Final = 8 << 20


class Fusion:
    """Agreeing colours for all variants of one clip."""

    def __init__(self, clip: Clip, at_once: int = AT_ONCE) -> None:
        """Clips of more than `at_once` pixels are fused in stretches, each together with the same moments spread over
        all of the clip, so that the stretches agree; their correspondences are not kept."""
        self._clip, self._at_once = clip, at_once
        self._kept: _Correspondences | None = None

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
    """The known pixels of a clip, N of all views; P parts, each the pixels of one view in one grain; sets of grids."""

    def __init__(self, clip: Clip) -> None:
        self._views = tuple(view for view in clip.views if view in clip.depth and view in clip.cameras)
        self._known = {view: clip.depth[view] > 0 for view in self._views}
        self._grids: list[_Grids] = []
        known = self._known
        if not any(known[view].any() for view in self._views):
            return
        place = np.concatenate([points(clip.depth[v], clip.cameras[v])[known[v]] for v in self._views])
        depth = np.concatenate([clip.depth[v][known[v]] for v in self._views]).astype(np.float32) * MM
        self._moment = np.concatenate([np.nonzero(known[v])[0] for v in self._views])
        self._share = 1.0 / np.maximum(depth, NEAREST).astype(np.float64)
        camera = np.concatenate([np.full(known[v].sum(), n) for n, v in enumerate(self._views)])
        grain = np.floor(place * ((1 << GRAINS) / FINEST)).astype(np.int64) + (1 << _BITS - 1)
        self._parts = _Groups(_packed(grain), camera)
        self._weight = self._parts.sums(self._share)
        pixels = self._parts.sums(np.ones(len(camera)))
        # Where one set of grids has an edge the others have none, so no edge is seen.
        coarsest = 1 << GRAINS + COARSER
        shifts = np.rint(np.arange(GRIDS)[:, None] * SHIFT % 1.0 * coarsest).astype(np.int64)
        one = self._parts.first
        self._grids = [_Grids(_packed(grain[one] + shift), camera[one], pixels) for shift in shifts]

    def fuse(self, images: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        fused = dict(images)
        if not self._grids:
            return fused
        color = np.concatenate([images[view][self._known[view]] for view in self._views]).astype(np.float64)
        square = np.einsum("nc,nc->n", color, color)
        weighted = [self._parts.sums(self._share * values) for values in (*color.T, square)]
        parts = np.stack([self._weight, *weighted], axis=1)
        # What a grid says of a part as a whole, and of single pixels where something moves.
        still, moving = np.zeros((len(parts), 3)), np.zeros(color.shape)
        for grids in self._grids:
            grids.add_fused(parts, still, moving, color, self._share, self._moment, self._parts.of)
        moving += still[self._parts.of]
        start = 0
        for view in self._views:
            known = self._known[view]
            count = int(known.sum())
            fused[view] = images[view].copy()
            fused[view][known] = np.rint(moving[start : start + count] / GRIDS).astype(np.uint8)
            start += count
        return fused


@dataclass(frozen=True)
class _Sums:
    """Per cell: weight, weighted colour and weighted squared colour over the channels; `all`: (C, 5)."""

    all: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        return np.asarray(self.all[:, 1:4] / self.all[:, :1])

    @property
    def spread(self) -> np.ndarray:
        """(C,) standard deviation of the colours, grey levels, over the three channels."""
        variance = self.all[:, 4] / self.all[:, 0] - (self.mean**2).sum(1)
        return np.sqrt(np.maximum(variance, 0.0) / 3.0)

    def replaced(self, color: np.ndarray, where: np.ndarray) -> None:
        """The cells numbered `where` now hold one colour each, that of `color` (len(where), 3)."""
        weight = self.all[where, :1]
        self.all[where, 1:] = weight * np.hstack([color, (color**2).sum(1, keepdims=True)])


class _Groups:
    """Which of `many` groups each of n things is in: `of` (n,); `first`: (many,) the first thing of each."""

    def __init__(self, *keys: np.ndarray) -> None:
        """keys: whole numbers (n,); things that are alike in all of them are together."""
        of, _ = pd.factorize(keys[0])
        for key in keys[1:]:
            of, _ = pd.factorize(of * (int(key.max()) + 1) + key)
        self.of, self.many = of.astype(np.int32), int(of.max()) + 1
        things = np.arange(len(of), dtype=np.int32)
        self.first = np.zeros(self.many, np.int32)
        self.first[of[::-1]] = things[::-1]
        self._members = csr_array((np.ones(len(of)), (self.of, things)), shape=(self.many, len(of)))

    def sums(self, values: np.ndarray) -> np.ndarray:
        """(n, ...) to (many, ...)."""
        return np.asarray(self._members @ values)


class _Grids:
    """Parts in cells that lie in one way: parts of a view in one fine cell are a run, runs of all views a fine cell."""

    def __init__(self, grain: np.ndarray, camera: np.ndarray, pixels: np.ndarray) -> None:
        """grain, camera, pixels: (P,) of each part, its number as `_packed` gives it, its view and how many it is."""
        fine = _within(grain, GRAINS)
        self._runs = _Groups(fine, camera)
        self._fine = _Groups(fine[self._runs.first])
        self._part_fine = self._fine.of[self._runs.of]
        # Level n: the cell of each fine cell, and how many pixels are in it; level 0 are the fine ones.
        numbers = fine[self._runs.first[self._fine.first]]
        self._levels = [_Groups(_within(numbers, GRAINS + n)) for n in range(COARSER + 1)]
        self._count = [level.sums(self._fine.sums(self._runs.sums(pixels))) for level in self._levels]

    def add_fused(
        self,
        parts: np.ndarray,
        still_out: np.ndarray,
        moving_out: np.ndarray,
        color: np.ndarray,
        share: np.ndarray,
        moment: np.ndarray,
        part: np.ndarray,
    ) -> None:
        """Add the colour of each cell over all time to `still_out` (P, 3) where the cell holds one surface.

        Elsewhere that of the cell at each moment goes to `moving_out` (N, 3).

        parts: (P, 5) as `_Sums`; color (N, 3), share, moment, part (N,): of each pixel.
        """
        runs = _Sums(self._runs.sums(parts))
        steady = 1.0 / (1.0 + (runs.spread / STEADY) ** 2)
        current = _Sums(self._fine.sums(runs.all * steady[:, None]))
        still = np.zeros(self._fine.many, bool)
        surface = np.zeros((self._fine.many, 3))
        for n, level in enumerate(self._levels):
            sums = _Sums(level.sums(current.all))
            # What few pixels show finely may still be one surface with its surroundings.
            alike = (self._count[n] >= FEWEST) & (sums.spread <= (FLAT if n else SAME))
            new = np.flatnonzero(~still & alike[level.of])
            surface[new] = sums.mean[level.of[new]]
            still[new] = True
        current.replaced(surface[still], np.flatnonzero(still))

        pixels = np.flatnonzero(~still[self._part_fine][part])
        if len(pixels):
            theirs = part[pixels]
            cell = self._part_fine[theirs]
            counts = share[pixels] * steady[self._runs.of[theirs]]
            # The moment becomes part of the cell: only what is seen at the same time is one thing there.
            here = _Groups(self._levels[1].of[cell], moment[pixels])
            weighed = here.sums(np.hstack([np.ones((len(pixels), 1)), color[pixels]]) * counts[:, None])
            passing = (weighed[:, 1:] / weighed[:, :1])[here.of]
            moving_out[pixels] += passing
            square = (passing**2).sum(1, keepdims=True)
            values = np.hstack([passing, square]) * counts[:, None]
            for channel in range(4):
                held = np.bincount(cell, values[:, channel], self._fine.many)
                current.all[~still, channel + 1] = held[~still]

        for level in self._levels[1:]:
            sums = _Sums(level.sums(current.all))
            flat = np.flatnonzero(still & (sums.spread <= FLAT)[level.of])
            surface[flat] = sums.mean[level.of[flat]]
            current.replaced(surface[flat], flat)
        still_out += surface[self._part_fine]


def _packed(grain: np.ndarray) -> np.ndarray:
    """(n, 3) whole numbers of `_BITS` bits to one number each."""
    x, y, z = grain.T
    return np.asarray((x << 2 * _BITS) | (y << _BITS) | z)


def _within(packed: np.ndarray, bits: int) -> np.ndarray:
    """The cell, 2^bits grains along each edge, that holds each grain."""
    low = (1 << bits) - 1
    return np.asarray(packed & ~(low << 2 * _BITS | low << _BITS | low))
