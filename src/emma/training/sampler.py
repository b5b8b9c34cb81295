"""Which frames each step sees: a shuffle per epoch that follows from seed and step alone."""

import numpy as np


class EpochSampler:
    """Frames without replacement within an epoch. Stateless: step k is the same after any resumption."""

    def __init__(self, frames: int, batch_size: int, seed: int) -> None:
        if frames < 1:
            raise ValueError("no frames to sample from")
        self._frames, self._batch, self._seed = frames, batch_size, seed
        self._epoch = -1
        self._order: np.ndarray = np.empty(0, np.int64)

    def indices(self, step: int) -> np.ndarray:
        """(batch_size,) int64 frame numbers of step `step`, counted from 0."""
        start = step * self._batch
        picked: list[np.ndarray] = []
        while (missing := self._batch - sum(map(len, picked))) > 0:
            epoch, offset = divmod(start + sum(map(len, picked)), self._frames)
            if epoch != self._epoch:
                self._epoch, self._order = epoch, np.random.default_rng([self._seed, epoch]).permutation(self._frames)
            picked.append(self._order[offset : offset + missing])
        return np.concatenate(picked)
