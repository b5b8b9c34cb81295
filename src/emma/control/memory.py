"""What was seen a moment ago, for policies that look back."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from emma.observation import Observation

NS = 1_000_000_000
# A frame that comes this much later than its period still stands for it.
SLACK_NS = 5_000_000


class Memory:
    """The observations of the last moments. past_s: how far back a policy looks, seconds, the furthest first."""

    def __init__(self, past_s: Sequence[float]) -> None:
        self._past_ns = [int(seconds * NS) for seconds in past_s]
        self._seen: deque[Observation] = deque()

    def clear(self) -> None:
        """Forget what belongs to another episode."""
        self._seen.clear()

    def with_past(self, observation: Observation) -> Observation:
        """The observation with what was seen before; the oldest that is known stands for what is further back."""
        if not self._past_ns:
            return observation
        # Pictures that are drawn when they are looked at must be those of their moment.
        kept = replace(observation, images=dict(observation.images), depth=dict(observation.depth))
        if self._seen and kept.stamp_ns < self._seen[-1].stamp_ns:
            self._seen.clear()
        self._seen.append(kept)
        while len(self._seen) > 1 and self._seen[1].stamp_ns <= kept.stamp_ns - self._past_ns[0] + SLACK_NS:
            self._seen.popleft()
        return replace(kept, past=tuple(self._at(kept.stamp_ns - back) for back in self._past_ns))

    def _at(self, moment_ns: int) -> Observation:
        """The latest that is not newer than the moment, else the oldest."""
        found = self._seen[0]
        for seen in self._seen:
            if seen.stamp_ns > moment_ns + SLACK_NS:
                break
            found = seen
        return found
