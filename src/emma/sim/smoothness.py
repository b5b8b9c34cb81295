"""How smoothly an arm was commanded: jerk over an episode, and steps where one action chunk follows another."""

import numpy as np

# A join is judged from the moment a chunk comes into play until any fade is over.
JOIN_S = 0.2


class Smoothness:
    """Fed once a control tick, arm joints only. period_s: of the tick."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._commands: list[np.ndarray] = []
        self._target: np.ndarray | None = None
        self._joined = JOIN_S
        self.join_step = 0.0
        self.disagreement = 0.0

    def joined(self, before: np.ndarray | None, after: np.ndarray | None) -> None:
        """A chunk came into play; what would be aimed at now without it, and with it alone."""
        self._joined = 0.0
        if before is not None and after is not None:
            self.disagreement = max(self.disagreement, float(np.abs(after - before).max()))

    def tick(self, command: np.ndarray, target: np.ndarray | None) -> None:
        """What is commanded, and what the chunks said before the safety filter; None where they say nothing."""
        self._commands.append(command)
        if target is None:
            return
        if self._target is not None and self._joined < JOIN_S:
            self.join_step = max(self.join_step, float(np.abs(target - self._target).max()))
        self._joined += self._period_s
        self._target = target

    @property
    def jerk(self) -> float:
        """Root mean square of the third derivative of what was commanded, rad/s^3 over ticks and joints."""
        if len(self._commands) < 4:
            return 0.0
        third = np.diff(np.stack(self._commands), n=3, axis=0) / self._period_s**3
        return float(np.sqrt(np.mean(third**2)))
