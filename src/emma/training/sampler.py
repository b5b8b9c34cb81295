"""Which frames each step sees: a function of seed, step and the weights of the moment, nothing else."""

from collections.abc import Sequence

import numpy as np

from emma.errors import EmmaError

_ORDER = 1_000_003


class FrameSampler:
    """Frames of several groups in fixed shares, within a group uniformly or by weight.

    Stateless as LeRobot's EpisodeAwareSampler means it: step k draws the same after any resumption and in every
    process. A group's draws go through epochs, a shuffle each. Without weights an epoch holds every frame once. With
    weights it holds frame i either floor or ceil of n w_i / sum(w) times (systematic resampling, Kitagawa 1996): the
    shuffled ranks are mapped through the inverse of the weights' distribution. Equal weights therefore give exactly
    the draws without weights.
    """

    def __init__(
        self,
        groups: Sequence[np.ndarray],
        shares: Sequence[float],
        batch_size: int,
        seed: int,
        base: np.ndarray | None = None,
    ) -> None:
        """groups: frame numbers (n,) of each; shares: of the samples, adding up to 1; batch_size: over all processes;
        base: (N,) weight of every frame by its number that lasts, None for uniform.

        Raises EmmaError if the batch is too small to hold every group.
        """
        drawn = [g for g, share in enumerate(shares) if share > 0]
        if any(len(groups[g]) == 0 for g in drawn):
            raise ValueError("no frames to sample from")
        if len(drawn) > 1 and batch_size < len(drawn) * (len(drawn) - 1):
            raise EmmaError(
                "a batch too small for its mixture",
                found=f"{batch_size} samples of {len(drawn)} kinds",
                expected=f"at least {len(drawn) * (len(drawn) - 1)}",
            )
        self._batch, self._seed = batch_size, seed
        self._shares = [shares[g] for g in drawn]
        self._rest = int(np.argmax(self._shares))
        self._streams = [_Stream(groups[g], seed, number) for number, g in enumerate(drawn)]
        self._base = base
        self.set_weights(None)

    def set_weights(self, weights: np.ndarray | None) -> None:
        """(N,) weight of every frame by its number, on top of the lasting ones, from the next step on; None: 1."""
        if self._base is not None:
            weights = self._base if weights is None else self._base * weights
        for stream in self._streams:
            stream.set_weights(weights)

    def indices(self, step: int) -> np.ndarray:
        """(batch_size,) int64 frame numbers of step `step`, counted from 0."""
        before, after = self._counts(step), self._counts(step + 1)
        picked = [stream.frames(int(a), int(b)) for stream, a, b in zip(self._streams, before, after, strict=True)]
        if len(picked) == 1:
            return picked[0]
        # Mixed, so that every process gets of every kind.
        return np.random.default_rng([self._seed, step, _ORDER]).permutation(np.concatenate(picked))

    def _counts(self, step: int) -> np.ndarray:
        """(G,) samples of each group before step `step`: off the exact share by less than one, in total, not a step."""
        total = step * self._batch
        counts = np.floor(np.array(self._shares) * total + 0.5).astype(np.int64)
        # The largest group takes what rounding leaves: it has the room.
        counts[self._rest] += total - counts.sum()
        return counts


class _Stream:
    """One group's endless sequence of frames, epoch after epoch."""

    def __init__(self, frames: np.ndarray, seed: int, number: int) -> None:
        self._frames, self._seed, self._number = np.asarray(frames, np.int64), seed, number
        self._epoch, self._shift = -1, 0.0
        self._order: np.ndarray = np.empty(0, np.int64)
        self._cumulative: np.ndarray | None = None

    def set_weights(self, weights: np.ndarray | None) -> None:
        self._cumulative = None
        if weights is not None:
            sums = np.cumsum(weights[self._frames])
            self._cumulative = sums / sums[-1]

    def frames(self, start: int, end: int) -> np.ndarray:
        """(end - start,) frame numbers at these positions of the sequence."""
        n, picked = len(self._frames), []
        while start < end:
            epoch, offset = divmod(start, n)
            if epoch != self._epoch:
                key = [self._seed, epoch, self._number] if self._number else [self._seed, epoch]
                rng = np.random.default_rng(key)
                self._epoch, self._order, self._shift = epoch, rng.permutation(n), rng.uniform(1e-6, 1 - 1e-6)
            ranks = self._order[offset : offset + end - start]
            picked.append(self._frames[self._at(ranks)])
            start += len(ranks)
        return np.concatenate(picked) if picked else np.empty(0, np.int64)

    def _at(self, ranks: np.ndarray) -> np.ndarray:
        if self._cumulative is None:
            return ranks
        at = np.searchsorted(self._cumulative, (ranks + self._shift) / len(self._frames), side="right")
        return np.minimum(at, len(self._frames) - 1)
