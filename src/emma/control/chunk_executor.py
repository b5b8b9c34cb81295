"""Action chunks to one target per control tick, indexed by time.

Action k of a chunk stands for the moment `t_obs + k / fps`. The executor looks up the moment it is asked for, so
the delay of inference is whatever really passed, no action is played twice or out of order, and between actions it
interpolates. A new chunk fades in over `blend_s`, which bounds the step at the join.
"""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from emma.arrays import Array
from emma.policy.chunk_blending import Previous
from emma.policy.joins import JOINS

NS = 1_000_000_000
# Arrivals that the delay of the next chunk is foretold from: the latest few, the slowest of them counts.
DELAYS = 10
# Chunks that an ensemble averages at most.
ENSEMBLE = 32


@dataclass(frozen=True, kw_only=True)
class ExecutorConfig:
    """How chunks are played. fps: actions per second; replan_s: age of a chunk at which the next is asked for;
    blend_s: fade from the old chunk to the new one; overrun_s: how long the last action is held past a chunk's end
    before the executor has nothing to say.

    join: `blend` fades, and so does `rtc`, which also says what the next chunk has to continue; `ensemble` averages all
    chunks that speak about a moment, an older one e^(decay) times as heavily as the next (ACT, Zhao et al. 2023);
    `drain` plays `replan_s` of a chunk from the moment it arrives, then stands still until the next one.
    """

    fps: float
    replan_s: float = 0.4
    blend_s: float = 0.2
    overrun_s: float = 0.3
    join: str = "blend"
    decay: float = 0.01

    def __post_init__(self) -> None:
        for name in ("fps", "replan_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("blend_s", "overrun_s", "decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be below 0, not {getattr(self, name)}")
        if self.join not in JOINS[1:]:
            raise ValueError(f"join is one of {', '.join(JOINS[1:])}, not {self.join}")


@dataclass(frozen=True)
class _Chunk:
    """t_obs_ns: of the observation; first_ns: the moment of the first action; from_ns: when the chunk could be used."""

    actions: Array
    t_obs_ns: int
    first_ns: int
    from_ns: int


class ChunkExecutor:
    """Plays chunks for one robot. Not thread-safe: the control loop owns it."""

    def __init__(self, config: ExecutorConfig) -> None:
        self.config = config
        self._chunks: deque[_Chunk] = deque()
        self._asked_ns: int | None = None
        self._delays: deque[int] = deque(maxlen=DELAYS)
        # Chunks that were taken so far.
        self.taken = 0

    def reset(self) -> None:
        """Forget everything, as when the policy is disabled; but not how long inference takes."""
        self._chunks.clear()
        self._asked_ns = None

    @property
    def started(self) -> bool:
        """True once a chunk was taken."""
        return bool(self._chunks)

    def wants_chunk(self, t_ns: int) -> bool:
        """True when the next observation should go to the policy. Call `asked` when it does."""
        if self._asked_ns is None:
            return True
        due = self._asked_ns + self._ns(self.config.replan_s)
        if self.config.join == "drain" and self._chunks:
            drained = self._drained_ns(self._chunks[-1])
            if self._asked_ns < drained:
                due = drained
        return t_ns >= due

    def asked(self, t_obs_ns: int) -> None:
        """An observation at `t_obs_ns` was handed to the policy."""
        self._asked_ns = t_obs_ns

    def offer(self, actions: Array, t_obs_ns: int, t_ns: int) -> bool:
        """Take a chunk (K, J) made from the observation at `t_obs_ns`, usable from `t_ns` on.

        Returns False for a chunk from an older observation than the active one: it is late and stays unused.
        Raises ValueError for a chunk that is not (K, J), or not finite.
        """
        if actions.ndim != 2 or len(actions) == 0:
            raise ValueError(f"a chunk is (K, J) with K > 0, not {actions.shape}")
        if not np.isfinite(actions).all():
            raise ValueError(
                f"{int((~np.isfinite(actions)).sum())} of {actions.size} values in the chunk are not finite"
            )
        if self._chunks:
            newest = self._chunks[-1]
            if actions.shape[1] != newest.actions.shape[1]:
                raise ValueError(f"a chunk of {actions.shape[1]} joints, not {newest.actions.shape[1]}")
            if t_obs_ns <= newest.t_obs_ns:
                return False
            # The first chunk after a reset may have had the runtime's warm-up in it.
            self._delays.append(max(t_ns - t_obs_ns, 0))
        self.taken += 1
        first = t_ns if self.config.join == "drain" else t_obs_ns
        self._chunks.append(_Chunk(np.asarray(actions, dtype=np.float64), t_obs_ns, first, t_ns))
        while len(self._chunks) > (ENSEMBLE if self.config.join == "ensemble" else 2):
            self._chunks.popleft()
        return True

    def target(self, t_ns: int) -> Array | None:
        """The (J,) target for the moment `t_ns`; None before the first chunk and once the last one has run out."""
        if not self._chunks:
            return None
        newest = self._chunks[-1]
        if t_ns > self._end_ns(newest) + self._ns(self.config.overrun_s):
            return None
        if self.config.join == "ensemble":
            return self._average(t_ns)
        return self._faded(t_ns)

    @property
    def ahead(self) -> tuple[Array, int] | None:
        """The newest chunk (K, J) and the moment of its first action, ns; None without one."""
        return (self._chunks[-1].actions, self._chunks[-1].first_ns) if self._chunks else None

    def newest(self, t_ns: int) -> Array:
        """(J,) what the newest chunk alone says about `t_ns`, whatever it is joined with. Raises IndexError without."""
        return self._at(self._chunks[-1], t_ns)

    def previous(self, t_obs_ns: int) -> Previous | None:
        """What the chunk asked for at `t_obs_ns` has to continue; None unless joined by `rtc`, and without a chunk.

        The delay is how many actions decide what is commanded until the new chunk is there, if it takes as long as the
        slowest of the latest did: that many are foretold, past the chunk's end by holding its last action.
        """
        if self.config.join != "rtc" or not self._chunks:
            return None
        newest = self._chunks[-1]
        fps = self.config.fps
        # Between two actions the executor interpolates, so the one after the moment of arrival counts too.
        delay = math.ceil(max(self._delays, default=newest.from_ns - newest.t_obs_ns) / NS * fps - 1e-6) + 1
        known = math.floor((self._end_ns(newest) - t_obs_ns) / NS * fps + 1e-6) + 1
        moments = [t_obs_ns + round(k * NS / fps) for k in range(max(known, delay))]
        return Previous(actions=np.stack([self._faded(t) for t in moments]).astype(np.float32), delay=delay)

    def _faded(self, t_ns: int) -> Array:
        newest = self._chunks[-1]
        target = self._at(newest, t_ns)
        if len(self._chunks) > 1:
            older = self._chunks[-2]
            fade = self._fade(t_ns - newest.from_ns)
            if fade < 1.0 and t_ns <= self._end_ns(older) + self._ns(self.config.overrun_s):
                target = fade * target + (1.0 - fade) * self._at(older, t_ns)
        return target

    def _average(self, t_ns: int) -> Array:
        """Every chunk that covers the moment fades in as it comes and out as it ends, so that the mean has no jumps."""
        latest = self._at(self._chunks[-1], t_ns)
        total, weights = np.zeros_like(latest), 0.0
        for i, chunk in enumerate(self._chunks):
            covers = self._fade(t_ns - chunk.from_ns) * self._fade(self._end_ns(chunk) - t_ns)
            weight = math.exp(-self.config.decay * i) * covers
            total, weights = total + weight * self._at(chunk, t_ns), weights + weight
        return total / weights if weights > 0.0 else latest

    def _fade(self, since_ns: int) -> float:
        if self.config.blend_s <= 0:
            return 1.0 if since_ns >= 0 else 0.0
        return min(max(since_ns / (self.config.blend_s * NS), 0.0), 1.0)

    def _at(self, chunk: _Chunk, t_ns: int) -> Array:
        """Interpolated; the first action before the chunk begins and the last one after it ends."""
        position = (min(t_ns, self._end_ns(chunk)) - chunk.first_ns) / NS * self.config.fps
        last = len(chunk.actions) - 1
        position = min(max(position, 0.0), float(last))
        before = int(position)
        after = min(before + 1, last)
        part = position - before
        blended: Array = (1.0 - part) * chunk.actions[before] + part * chunk.actions[after]
        return blended

    def _end_ns(self, chunk: _Chunk) -> int:
        """The moment of the last action to be played."""
        end = chunk.first_ns + self._ns((len(chunk.actions) - 1) / self.config.fps)
        return min(end, self._drained_ns(chunk)) if self.config.join == "drain" else end

    def _drained_ns(self, chunk: _Chunk) -> int:
        return chunk.first_ns + self._ns(self.config.replan_s)

    @staticmethod
    def _ns(seconds: float) -> int:
        return round(seconds * NS)
