"""Means with intervals that know of both kinds of chance: which weights a training found, and which starts were asked.

Every policy is asked the same starts in all appearances. So the bootstrap (Efron 1979) draws starts once for all rows
together, and training seeds for each row by itself. Where all episodes end alike a bootstrap sees no chance at all; the
Wilson interval does, and the wider bound of the two is given.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emma.stats import Rate

RESAMPLES = 4000
TAIL = 0.025
Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    interval: Interval


class Outcomes:
    """Successes by row: (seeds, starts, appearances) of 0 and 1; starts and appearances are the same for all rows."""

    def __init__(self, rows: Mapping[str, np.ndarray], appearances: Sequence[str], seed: int = 0) -> None:
        self.rows = {name: np.asarray(values, np.float64) for name, values in rows.items()}
        self.appearances = tuple(appearances)
        rng = np.random.default_rng(seed)
        starts = {values.shape[1] for values in self.rows.values()}
        if len(starts) > 1 or any(v.shape[2] != len(self.appearances) for v in self.rows.values()):
            raise ValueError("rows that were asked other starts cannot be compared")
        n = starts.pop() if starts else 0
        # (R, E) how often each start is drawn; row -> (R, S) how often each training is.
        self._starts = _draws(rng, n) if n else np.zeros((0, 0))
        self._seeds = {name: _draws(rng, len(values)) for name, values in self.rows.items()}

    def mean(self, row: str, appearances: Sequence[str] | None = None) -> Estimate:
        """Success of a row over some appearances, all by default."""
        values = self._over(row, appearances)
        wilson = Rate(round(values.mean() * values.size), values.size).interval
        low, high = _interval(self._means(row, appearances))
        return Estimate(float(values.mean()), (min(low, wilson[0]), max(high, wilson[1])))

    def by_seed(self, row: str, appearances: Sequence[str] | None = None) -> list[float]:
        """Success of each training of a row."""
        return [float(v) for v in self._over(row, appearances).mean(1)]

    def combine(
        self, rows: Sequence[str], appearances: Sequence[str], formula: Callable[..., np.ndarray]
    ) -> Estimate | None:
        """`formula` of the rows' means, such as a difference; None if a row is missing or it has no value."""
        if any(row not in self.rows for row in rows):
            return None
        value = float(formula(*(np.array(self._over(row, appearances).mean()) for row in rows)))
        if not math.isfinite(value):
            return None
        drawn = formula(*(self._means(row, appearances) for row in rows))
        low, high = _interval(drawn[np.isfinite(drawn)])
        return Estimate(value, (min(low, value), max(high, value)))

    def _over(self, row: str, appearances: Sequence[str] | None) -> np.ndarray:
        """(S, E) share of the appearances in which each start succeeded."""
        columns = [self.appearances.index(name) for name in appearances or self.appearances]
        return np.asarray(self.rows[row][:, :, columns].mean(2))

    def _means(self, row: str, appearances: Sequence[str] | None) -> np.ndarray:
        """(R,) the mean in every resample."""
        values = self._over(row, appearances)
        return np.einsum("rs,se,re->r", self._seeds[row], values, self._starts) / values.size


def _draws(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.asarray(rng.multinomial(n, [1.0 / n] * n, RESAMPLES), np.float64)


def _interval(values: np.ndarray) -> Interval:
    if len(values) == 0:
        return math.nan, math.nan
    low, high = np.quantile(values, (TAIL, 1 - TAIL))
    return float(low), float(high)
