"""Intervals for success rates."""

import math
from dataclasses import dataclass

Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Rate:
    """k successes in n trials with the Wilson score interval at 95 % (Wilson 1927), all in 0..1; NaN for n = 0."""

    successes: int
    trials: int

    def __post_init__(self) -> None:
        if not 0 <= self.successes <= self.trials:
            raise ValueError(f"{self.successes} successes in {self.trials} trials")

    @property
    def value(self) -> float:
        return self.successes / self.trials if self.trials else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        if not self.trials:
            return math.nan, math.nan
        n, p = self.trials, self.value
        scale = 1.0 / (1.0 + Z_95**2 / n)
        centre = scale * (p + Z_95**2 / (2 * n))
        half = scale * Z_95 * math.sqrt(p * (1 - p) / n + Z_95**2 / (4 * n * n))
        # Rounding must not push the bound past the rate itself at 0 and 1.
        return max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))

    def __str__(self) -> str:
        if not self.trials:
            return "no trials"
        low, high = self.interval
        return f"{self.value:.0%} ({self.successes}/{self.trials}, 95 % interval {low:.0%} to {high:.0%})"
