"""Real-time chunking (Black et al. 2025): a new chunk that continues the one being executed.

LeRobot 0.6.1 differentiates nothing through the network (its velocity is computed before the gradient is asked for), so
its guidance has the closed form used here. It needs no backward pass and works with an exported graph.
"""

import numpy as np

from emma.policy.chunk_blending import Previous

__all__ = ["Guidance", "Previous", "guidance_weight", "prefix_weights"]

MAX_GUIDANCE = 10.0


def prefix_weights(delay: int, horizon: int, chunk: int) -> np.ndarray:
    """(chunk,) float32: 1 for the first `delay` actions, then falling linearly to 0 at `horizon`."""
    start = min(delay, horizon)
    weights = np.zeros(chunk, np.float32)
    weights[:start] = 1.0
    end = min(horizon, chunk)
    if end > start:
        weights[start:end] = np.linspace(1.0, 0.0, end - start + 2, dtype=np.float32)[1:-1]
    return weights


def guidance_weight(time: float, limit: float = MAX_GUIDANCE) -> float:
    """How strongly the velocity is corrected at flow time 1 (noise) to 0; at most `limit`."""
    done = 1.0 - time
    if done <= 0.0 or time <= 0.0:
        return limit
    return min(time / done * (time**2 + done**2) / time**2, limit)


class Guidance:
    """Corrects velocities in place, without allocating. Buffers are (1, K, W) like the chunk."""

    def __init__(self, chunk: int, width: int) -> None:
        self.active = False
        self._target = np.zeros((1, chunk, width), np.float32)
        self._weights = np.zeros((1, chunk, 1), np.float32)
        self._error = np.zeros((1, chunk, width), np.float32)

    def clear(self) -> None:
        """No previous chunk."""
        self.active = False

    def aim(self, normalised: np.ndarray, delay: int, horizon: int) -> None:
        """Draw the next chunk towards `normalised` (n, <= W): unknown actions and padding are 0, as in LeRobot."""
        chunk = self._target.shape[1]
        known = min(len(normalised), chunk)
        self._target[...] = 0.0
        self._target[0, :known, : normalised.shape[1]] = normalised[:known]
        self._weights[0, :, 0] = prefix_weights(delay, min(horizon, len(normalised)), chunk)
        self.active = True

    def correct(self, velocity: np.ndarray, noisy: np.ndarray, time: float) -> None:
        """velocity -= g * (target - (noisy - time * velocity)) * weights."""
        np.multiply(velocity, time, out=self._error)
        np.subtract(noisy, self._error, out=self._error)
        np.subtract(self._target, self._error, out=self._error)
        np.multiply(self._error, self._weights, out=self._error)
        np.multiply(self._error, guidance_weight(time), out=self._error)
        np.subtract(velocity, self._error, out=velocity)
