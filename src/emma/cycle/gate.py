"""Better or not: the same trials with both policies, and what can be said of the difference.

A trial's score is 1 or 0 for success in closed loop, or minus an action error; more is better. Trials that share a
start (the same seed in several appearances) are not independent, so whole starts are resampled, and whole starts change
sides in the test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from emma.cycle.config import GateSettings
from emma.stats import Rate

# Of the interval and of the test: 95 % two-sided is 2.5 % on the side that counts.
TAIL = 0.025
RESAMPLES = 10_000
# Up to 2^12 ways to change sides are all tried; beyond, `RESAMPLES` of them at random.
ALL_FLIPS = 12


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One start with both policies. group: appearance or dataset; start: what both share, a seed or an episode."""

    group: str
    start: str
    before: float
    after: float

    @property
    def gain(self) -> float:
        return self.after - self.before


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """gain: mean over the trials; interval: its 95 % interval, paired bootstrap over starts; p: one-sided, of a gain
    of at most the margin, by changing sides; reasons: what speaks against a promotion, none if it is one."""

    promote: bool
    gain: float
    interval: tuple[float, float]
    p: float
    trials: int
    starts: int
    reasons: tuple[str, ...] = ()
    groups: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def judge(trials: Sequence[Trial], settings: GateSettings, *, seed: int = 0, rates: bool = True) -> Verdict:
    """Promote if the interval and the test both say that the gain is above the margin, and no guarded group lost.

    rates: scores are successes, so that groups get Wilson intervals and the guard applies.
    """
    sums, counts = _by_start(trials)
    gain = float(sums.sum() / counts.sum()) if trials else float("nan")
    interval = _bootstrap(sums, counts, np.random.default_rng(seed))
    p = _changing_sides(sums - settings.margin * counts, np.random.default_rng(seed + 1))
    groups = {
        name: _group([t for t in trials if t.group == name], rates) for name in dict.fromkeys(t.group for t in trials)
    }
    reasons = []
    if not trials:
        reasons.append("nothing was measured")
    elif not interval[0] > settings.margin:
        reasons.append(f"the gain's 95 % interval begins at {interval[0]:+.3f}, not above {settings.margin:g}")
    if trials and not p <= TAIL:
        reasons.append(f"a gain like this comes by chance with p = {p:.3f}, above {TAIL:g}{_too_few(len(sums))}")
    for name in settings.guard if rates else ():
        if name in groups and float(groups[name]["gain"]) < -settings.allowed_drop - 1e-9:
            lost = -float(groups[name]["gain"])
            reasons.append(f"{name} lost {lost:.3f}, more than {settings.allowed_drop:g}")
    return Verdict(
        promote=not reasons,
        gain=gain,
        interval=interval,
        p=p,
        trials=len(trials),
        starts=len(sums),
        reasons=tuple(reasons),
        groups=groups,
    )


def _by_start(trials: Sequence[Trial]) -> tuple[np.ndarray, np.ndarray]:
    """(S,) sum of gains and (S,) number of trials of every start."""
    starts = {name: i for i, name in enumerate(dict.fromkeys(t.start for t in trials))}
    sums, counts = np.zeros(len(starts)), np.zeros(len(starts))
    for trial in trials:
        sums[starts[trial.start]] += trial.gain
        counts[starts[trial.start]] += 1
    return sums, counts


def _bootstrap(sums: np.ndarray, counts: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Percentile interval of the mean gain over resampled starts (Efron 1979)."""
    if len(sums) == 0:
        return float("nan"), float("nan")
    drawn = rng.integers(0, len(sums), (RESAMPLES, len(sums)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, (TAIL, 1 - TAIL))
    return float(low), float(high)


def _changing_sides(sums: np.ndarray, rng: np.random.Generator) -> float:
    """Share of all ways to swap before and after, start by start, that give at least this gain (Fisher 1935).

    The bootstrap alone is blind with few starts: two gains of 1 have the interval 1 to 1.
    """
    n = len(sums)
    if n == 0:
        return 1.0
    if n <= ALL_FLIPS:
        signs = np.array(list(product((1.0, -1.0), repeat=n)))
        return float(np.mean(signs @ sums >= sums.sum() - 1e-9))
    signs = rng.choice((-1.0, 1.0), (RESAMPLES, n))
    return float((1 + np.sum(signs @ sums >= sums.sum() - 1e-9)) / (RESAMPLES + 1))


def _group(trials: Sequence[Trial], rates: bool) -> dict[str, Any]:
    n = len(trials)
    values: dict[str, Any] = {
        "trials": n,
        "before": sum(t.before for t in trials) / n,
        "after": sum(t.after for t in trials) / n,
        "gain": sum(t.gain for t in trials) / n,
        "won": sum(t.gain > 0 for t in trials),
        "lost": sum(t.gain < 0 for t in trials),
    }
    if rates:
        for side in ("before", "after"):
            values[f"{side}_interval"] = Rate(round(sum(getattr(t, side) for t in trials)), n).interval
    return values


def _too_few(starts: int) -> str:
    least = int(np.ceil(np.log2(1 / TAIL)))
    return f" (of {starts} the best is {0.5**starts:.3f}: take {least} starts or more)" if starts < least else ""
