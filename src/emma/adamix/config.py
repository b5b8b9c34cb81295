"""What AdaMix does, as one frozen configuration."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from emma.errors import EmmaError

JUDGED = ("policy", "demonstration")
LEVELS = ("episode", "frame", "within")
AGAINST = ("dataset", "source", "look")
DEALT = ("difficulty", "chance")
# `lambda` is a word of Python; on the command line it may be used all the same.
ALIASES = {"lambda": "lam"}


@dataclass(frozen=True, kw_only=True)
class AdaMixConfig:
    """error, smoothness, limits: shares of the three metrics in the performance; 0 leaves one out.
    judged: whose motion smoothness and limits look at: the policy's predicted chunks, or the demonstration itself.
    against: what an episode's difficulty is compared with: all others, or, for a generated one, first the episode it
    was made from. Half and more of what makes a clip hard is its motion; what is left is what its look costs. look: the
    share of an episode's error that it has beyond that one's, without a min-max, so weights come to rest when the looks
    are learnt; other metrics do not count then, and episodes that were made from none weigh 1.
    dealt: weights by difficulty, or the same weights dealt out by chance among a source's episodes, the control that
    says whether what is found hard matters or only that draws are uneven.
    level: weights per episode; frame: per frame too (frames of one episode share that episode's weight); within: frames
    alone, episodes of a source are drawn alike.
    lam, gamma: w = 1 + (lam - 1)(1 - P)^gamma. cap: an episode is drawn at most `cap` times as often as uniformly.
    smoothing: share of the previous weights kept at a re-evaluation. trim: quantile cut off at both ends before
    min-max, against a single outlier that takes the whole range. warm_up, period: steps of uniform draws, then steps
    between evaluations. frames: frames an episode is judged by, 0 = all of them.
    min_effective, max_share, divergence, max_resets: what counts as collapse, see `emma.adamix.watch`."""

    error: float = 1.0
    smoothness: float = 1.0
    limits: float = 1.0
    judged: str = "policy"
    against: str = "dataset"
    dealt: str = "difficulty"
    level: str = "episode"
    lam: float = 10.0
    gamma: float = 1.0
    cap: float = 5.0
    smoothing: float = 0.5
    trim: float = 0.0
    warm_up: int = 1000
    period: int = 1000
    frames: int = 16
    min_effective: float = 0.25
    max_share: float = 0.5
    divergence: float = 3.0
    max_resets: int = 3

    def __post_init__(self) -> None:
        shares = (self.error, self.smoothness, self.limits)
        _require(
            all(0 <= s < math.inf for s in shares) and sum(shares) > 0, "metric shares", shares, "0 or more, not all 0"
        )
        _require(self.judged in JUDGED, "judged", self.judged, " or ".join(JUDGED))
        _require(self.against in AGAINST, "against", self.against, " or ".join(AGAINST))
        _require(self.dealt in DEALT, "dealt", self.dealt, " or ".join(DEALT))
        _require(self.against != "look" or self.error > 0, "error", self.error, "above 0 with against=look")
        _require(self.level in LEVELS, "level", self.level, " or ".join(LEVELS))
        _require(1 <= self.lam < math.inf, "lambda", self.lam, "1 or more; 1 is uniform")
        _require(0 < self.gamma < math.inf, "gamma", self.gamma, "more than 0")
        _require(self.cap >= 1, "cap", self.cap, "1 or more")
        _require(0 <= self.smoothing < 1, "smoothing", self.smoothing, "0 <= smoothing < 1")
        _require(0 <= self.trim < 0.5, "trim", self.trim, "0 <= trim < 0.5")
        _require(self.warm_up >= 0, "warm_up", self.warm_up, "0 or more steps")
        _require(self.period >= 1, "period", self.period, "1 step or more")
        _require(self.frames >= 0, "frames", self.frames, "0 (all) or more")
        _require(0 <= self.min_effective < 1, "min_effective", self.min_effective, "0 <= share < 1")
        _require(0 < self.max_share <= 1, "max_share", self.max_share, "0 < share <= 1")
        _require(self.divergence > 1, "divergence", self.divergence, "more than 1")
        _require(self.max_resets >= 0, "max_resets", self.max_resets, "0 or more")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """From names and values, `lambda` included. Raises EmmaError for an unknown name or a value of another kind."""
        kinds: dict[str, Any] = {f.name: type(f.default) for f in dataclasses.fields(cls)}
        values = {}
        for key, value in options.items():
            name = ALIASES.get(key, key)
            _require(name in kinds, "option", key, f"one of {', '.join(kinds)}")
            number = isinstance(value, int | float) and not isinstance(value, bool)
            fits = isinstance(value, str) if kinds[name] is str else number and kinds[name](value) == value
            _require(fits, key, value, f"a value like {getattr(cls, name)!r}")
            values[name] = kinds[name](value)
        return cls(**values)

    def due(self, step: int) -> bool:
        """Whether an evaluation belongs before step `step` (counted from 0)."""
        return step >= self.warm_up and (step - self.warm_up) % self.period == 0


def _require(holds: bool, name: str, found: object, expected: str) -> None:
    if not holds:
        raise EmmaError(f"bad AdaMix {name}", found=found, expected=expected)
