"""From difficulty to weight: min-max, performance P, w = 1 + (lambda - 1)(1 - P)^gamma, cap, smoothing."""

from collections.abc import Mapping

import numpy as np

from emma.adamix.config import AdaMixConfig
from emma.adamix.difficulty import METRICS

# Rounds of clipping and renormalising; each lowers the mean, so few are needed.
_ROUNDS = 50


def min_max(values: np.ndarray, trim: float = 0.0) -> np.ndarray:
    """`values` (N,) mapped to [0, 1] between their smallest and largest, or between quantiles trim and 1 - trim.

    All zero where they do not differ: a metric that says nothing moves nothing. NaN becomes the mean of the others.
    """
    known = np.isfinite(values)
    if not known.any():
        return np.zeros(len(values))
    low, high = np.quantile(values[known], (trim, 1 - trim))
    # Below this the spread is rounding, not difficulty.
    if high - low <= 1e-9 * max(abs(high), abs(low), 1e-12):
        return np.zeros(len(values))
    scaled = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.where(known, scaled, scaled[known].mean())


def metric_scores(components: Mapping[str, np.ndarray], trim: float = 0.0) -> dict[str, np.ndarray]:
    """metric -> (N,) hardness in [0, 1]: the mean of its components, each min-maxed over the dataset."""
    return {
        metric: np.mean([min_max(components[name], trim) for name in names], axis=0)
        for metric, names in METRICS.items()
    }


def beyond_source(error: np.ndarray, made_from: np.ndarray) -> np.ndarray:
    """(E,) in [0, 1]: the share of an episode's error that the episode it was made from does not have.

    The actions are the same to the bit, so what cannot be predicted of them is in both errors, and the rest is what the
    look costs (the reducible loss of Mindermann et al., ICML 2022, with the policy on the source's own look as the
    model of what is irreducible). 0 for episodes of no known origin. made_from: (E,) number of that one, -1 for none.
    """
    floor = error[made_from]
    share = 1.0 - np.minimum(1.0, floor / np.maximum(error, np.finfo(float).tiny))
    return np.where((made_from >= 0) & np.isfinite(share), share, 0.0)


def performance(components: Mapping[str, np.ndarray], config: AdaMixConfig) -> np.ndarray:
    """P (N,) in [0, 1], 1 = nothing is easier: 1 minus the mean hardness of the metrics, weighted by their shares."""
    return performance_of(metric_scores(components, config.trim), config)


def performance_of(scores: Mapping[str, np.ndarray], config: AdaMixConfig) -> np.ndarray:
    """The same from `metric_scores`."""
    shares = {metric: getattr(config, metric) for metric in METRICS}
    hard = sum(shares[metric] * scores[metric] for metric in METRICS) / sum(shares.values())
    return np.asarray(1.0 - hard)


def weights(p: np.ndarray, config: AdaMixConfig) -> np.ndarray:
    """w = 1 + (lambda - 1)(1 - P)^gamma, (N,) in [1, lambda]; all 1 for lambda 1.

    EMMA (arXiv 2509.22407) gives gamma 1, lambda 10 best, lambda 1 nearly uniform; the form is one that is exactly so.
    """
    return np.asarray(1.0 + (config.lam - 1.0) * np.clip(1.0 - p, 0.0, 1.0) ** config.gamma)


def capped(w: np.ndarray, size: np.ndarray, cap: float) -> np.ndarray:
    """`w` (N,) with mean 1 over `size` (frames each stands for) and none above `cap`."""
    w = w / np.average(w, weights=size)
    for _ in range(_ROUNDS):
        if w.max() <= cap * (1 + 1e-12):
            break
        w = np.minimum(w, cap)
        w = w / np.average(w, weights=size)
    return np.minimum(w, cap)


def smoothed(before: np.ndarray | None, now: np.ndarray, keep: float) -> np.ndarray:
    """Exponential average over re-evaluations; without an earlier one `now` as it is."""
    return now if before is None else keep * before + (1.0 - keep) * now


def effective_share(w: np.ndarray, size: np.ndarray, square: np.ndarray | float = 1.0) -> float:
    """Effective sample size (sum w)^2 / sum w^2 over frames (Kish 1965), as a share of all: 1 when uniform.

    w: (E,) weights of episodes with `size` frames; square: (E,) mean square of the frames' own factors, mean 1, within
    each.
    """
    return float(np.sum(w * size) ** 2 / np.sum(w**2 * size * square) / np.sum(size))
