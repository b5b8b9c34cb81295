"""Which generated clips are kept: thresholds from the quantiles of a run's own scores, and the reason in words.

A score has no absolute scale that holds for every robot and prompt, so a run is judged against itself: each score gets
a threshold at the same quantile q of its values, and q is the largest at which no more than `reject` of the clips fall
below any threshold. EMMA (arXiv 2509.22407) filters its videos this way in spirit and removes 5-8 %.

What a look costs is not held against a clip. Dark pictures flicker more for their contrast and agree less between
views, however well they are drawn: judged as they are, such scores would throw out the dark looks, which a policy needs
as much as the bright ones. So a score counts by how far it is from that of the clips nearest in contrast.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.filter_config import MORE_IS_BETTER, FilterConfig

# Clips nearest in contrast that one is compared with: a share of the run, and no fewer than this.
NEAREST, LEAST = 0.25, 10


class Scorer(Protocol):
    """Scores one generated clip against what it was made from. NaN: this score cannot be had for this clip."""

    def __call__(self, clip: Clip, generated: Mapping[str, np.ndarray], prompt: str) -> Mapping[str, float]:
        """clip: the source. generated: camera -> (T, H, W, 3) uint8. Returns finite numbers or NaN by name."""
        ...


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Whether a clip is kept; if not, why, in words."""

    accepted: bool
    reason: str | None = None


def decide(scores: Sequence[Mapping[str, float]], config: FilterConfig | None = None) -> list[Decision]:
    """One decision per clip of a run, in order. Scores that are missing or NaN are not held against a clip.

    Absolute limits first; then at most `reject` x (number of clips), rounded down, fall by their worst rank.
    """
    config = FilterConfig() if config is None else config
    reasons = [_beyond_limit(clip, config) for clip in scores]
    for clip, why in worst_first(scores, config.more_is_better, config.alike)[: _allowed(config.reject, len(scores))]:
        reasons[clip] = reasons[clip] or why
    return [Decision(accepted=reason is None, reason=reason) for reason in reasons]


def worst_first(
    scores: Sequence[Mapping[str, float]],
    more_is_better: Mapping[str, bool] = MORE_IS_BETTER,
    alike: str = FilterConfig.alike,
) -> list[tuple[int, str]]:
    """Clips of a run with what is worst about each, worst first; only those on the worse side of some score's median.

    Clips are compared by their worst rank among the scores: to reject the first n of them is to set a threshold at the
    same quantile of every score.
    """
    names = [name for name in more_is_better if any(math.isfinite(s.get(name, math.nan)) for s in scores)]
    if not names:
        return []
    values = np.array([[s.get(name, math.nan) for name in names] for s in scores], np.float64)
    badness = values * np.array([-1.0 if more_is_better[name] else 1.0 for name in names])
    near = np.array([s.get(alike, math.nan) for s in scores], np.float64)
    usual = np.stack([_usual(column, near) for column in values.T], axis=1)
    if np.isfinite(near).all():
        badness = np.stack([_excess(column, near) for column in badness.T], axis=1)
    ranks = np.stack([_rank(column) for column in badness.T], axis=1)
    # Of clips that are the worst in one score each, the one that is bad in more of them comes first.
    order = np.lexsort((-ranks.mean(axis=1), -ranks.max(axis=1)))
    return [
        (int(clip), _in_words(names[score], values[:, score], clip, more_is_better[names[score]], usual[clip, score]))
        for clip, score in zip(order, ranks[order].argmax(axis=1), strict=True)
        if ranks[clip, score] > 0.5
    ]


def _nearest(known: np.ndarray, near: np.ndarray, clip: int) -> np.ndarray:
    """Numbers of the clips with a value (`known`) that are nearest to `clip`."""
    numbers = np.flatnonzero(known)
    count = max(LEAST, math.ceil(NEAREST * len(numbers)))
    return numbers[np.argsort(np.abs(near[numbers] - near[clip]), kind="stable")[:count]]


def _usual(values: np.ndarray, near: np.ndarray) -> np.ndarray:
    """(N,) median of the clips nearest to each, of all where nearness is not known."""
    known = np.isfinite(values)
    if not known.any() or not np.isfinite(near).all():
        return np.full(len(values), np.median(values[known]) if known.any() else np.nan)
    return np.array([np.median(values[_nearest(known, near, clip)]) for clip in range(len(values))])


def _excess(badness: np.ndarray, near: np.ndarray) -> np.ndarray:
    """(N,) distance from the median of the nearest clips in median absolute deviations of theirs; NaN where unknown."""
    known = np.isfinite(badness)
    excess, usual = np.full(len(badness), np.nan), _usual(badness, near)
    everywhere = float(np.median(np.abs(badness - usual)[known])) if known.any() else 0.0
    for clip in np.flatnonzero(known):
        others = badness[_nearest(known, near, clip)]
        # A few clips that happen to agree must not make a small difference large.
        spread = max(float(np.median(np.abs(others - usual[clip]))), everywhere)
        excess[clip] = (badness[clip] - usual[clip]) / spread if spread else badness[clip] - usual[clip]
    return excess


def _allowed(reject: float, clips: int) -> int:
    return math.floor(reject * clips + 1e-9)


def _rank(badness: np.ndarray) -> np.ndarray:
    """(N,) in 0..1: the share of clips that are strictly better; 0 where not measured, or all alike."""
    known = np.isfinite(badness)
    rank = np.zeros(len(badness))
    order = np.sort(badness[known])
    rank[known] = np.searchsorted(order, badness[known], side="left") / max(1, len(order) - 1)
    return rank


def _beyond_limit(scores: Mapping[str, float], config: FilterConfig) -> str | None:
    for name, limit in config.limits.items():
        value, more = scores.get(name, math.nan), config.more_is_better[name]
        if value < limit if more else value > limit:
            return f"{name} {value:.3g} is {'below' if more else 'above'} the limit {limit:.3g}"
    return None


def _in_words(name: str, values: np.ndarray, clip: int, more: bool, usual: float) -> str:
    known = values[np.isfinite(values)]
    worse = int((known < values[clip]).sum() if more else (known > values[clip]).sum())
    place = "the lowest" if more else "the highest"
    place = place if worse == 0 else f"{place} but {worse}"
    median = np.median(known)
    beside = "" if usual == median else f"; of those with its contrast {usual:.3g}"
    return f"{name} {values[clip]:.3g} is {place} of {len(known)} clips (median {median:.3g}{beside})"
