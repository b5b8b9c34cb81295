"""Collapse: the loss diverges, one episode takes the draws, or too few samples count.

Chasing what is noisy rather than hard is the known failure of such schemes; then uniform draws are better than any.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np

from emma.adamix.config import AdaMixConfig
from emma.adamix.weights import effective_share

# Memory of the running loss in steps: long against the noise of a batch, short against an evaluation period.
MEMORY_STEPS = 50
# With fewer episodes a large share is no sign of anything.
MIN_EPISODES = 4


def weights_collapsed(
    w: np.ndarray, size: np.ndarray, square: np.ndarray, group: np.ndarray, config: AdaMixConfig
) -> str | None:
    """Why weights (E,) of episodes with `size` frames are a collapse in their group, or None.

    square: (E,) mean square of the factors of the frames within each episode, 1 where these are drawn alike.
    Effective samples: below `min_effective` of the frames. For two levels of weight, 1 and lambda, the share is at
    least 4 lambda / (1 + lambda)^2: 0.33 for lambda 10, 0.12 for lambda 30. Share: one episode above `max_share`.
    """
    for number in np.unique(group):
        mine = group == number
        if mine.sum() < MIN_EPISODES:
            continue
        effective = effective_share(w[mine], size[mine], square[mine])
        if effective < config.min_effective:
            return f"{effective:.0%} of the samples effective, below {config.min_effective:.0%}"
        shares = w[mine] * size[mine] / np.sum(w[mine] * size[mine])
        # An episode that is that long anyway is not the weights' doing.
        uniform = size[mine] / np.sum(size[mine])
        worst = int(np.argmax(shares))
        if shares[worst] > config.max_share and uniform[worst] < config.max_share / 2:
            episode = int(np.flatnonzero(mine)[worst])
            return f"episode {episode} takes {shares[worst]:.0%} of the draws, above {config.max_share:.0%}"
    return None


@dataclass
class LossWatch:
    """The running loss and its lowest value; `observe` says when it has left that by a factor."""

    divergence: float
    mean: float = 0.0
    count: int = 0
    lowest: float = math.inf

    def observe(self, loss: float) -> str | None:
        """Take the loss of one step; returns why it has diverged, or None."""
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        self.count += 1
        self.mean += (loss - self.mean) / min(self.count, MEMORY_STEPS)
        if self.count < MEMORY_STEPS:
            return None
        self.lowest = min(self.lowest, self.mean)
        # A loss may be negative or vanish; only a positive one has a factor.
        if self.lowest > 0 and self.mean > self.divergence * self.lowest:
            return f"the loss rose to {self.mean:.4g} from {self.lowest:.4g}"
        return None

    def restart(self) -> None:
        self.mean, self.count, self.lowest = 0.0, 0, math.inf

    def to_dict(self) -> dict[str, float]:
        return asdict(self)
