"""Action chunks to one target per control tick, indexed by time.

Action k of a chunk stands for the moment `t_obs + k / fps`. The executor looks up the moment it is asked for, so
the delay of inference is whatever really passed, no action is played twice or out of order, and between actions it
interpolates. A new chunk fades in over `blend_s`, which bounds the step at the join.
"""

from dataclasses import dataclass

import numpy as np

NS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class ExecutorConfig:
    """How chunks are played. fps: actions per second; replan_s: age of a chunk at which the next is asked for;
    blend_s: fade from the old chunk to the new one; overrun_s: how long the last action is held past a chunk's end
    before the executor has nothing to say."""

    fps: float
    replan_s: float = 0.4
    blend_s: float = 0.2
    overrun_s: float = 0.3

    def __post_init__(self) -> None:
        for name in ("fps", "replan_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("blend_s", "overrun_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be below 0, not {getattr(self, name)}")


@dataclass(frozen=True)
class _Chunk:
    actions: np.ndarray
    t_obs_ns: int
    from_ns: int


class ChunkExecutor:
    """Plays chunks for one robot. Not thread-safe: the control loop owns it."""

    def __init__(self, config: ExecutorConfig) -> None:
        self.config = config
        self._new: _Chunk | None = None
        self._old: _Chunk | None = None
        self._asked_ns: int | None = None

    def reset(self) -> None:
        """Forget everything, as when the policy is disabled."""
        self._new = self._old = self._asked_ns = None

    @property
    def started(self) -> bool:
        """True once a chunk was taken."""
        return self._new is not None

    def wants_chunk(self, t_ns: int) -> bool:
        """True when the next observation should go to the policy. Call `asked` when it does."""
        if self._asked_ns is None:
            return True
        return t_ns - self._asked_ns >= self.config.replan_s * NS

    def asked(self, t_obs_ns: int) -> None:
        """An observation at `t_obs_ns` was handed to the policy."""
        self._asked_ns = t_obs_ns

    def offer(self, actions: np.ndarray, t_obs_ns: int, t_ns: int) -> bool:
        """Take a chunk (K, J) made from the observation at `t_obs_ns`, usable from `t_ns` on.

        Returns False for a chunk from an older observation than the one in play: it is late and stays unused.
        Raises ValueError for a chunk that is not (K, J), or not finite.
        """
        if actions.ndim != 2 or len(actions) == 0:
            raise ValueError(f"a chunk is (K, J) with K > 0, not {actions.shape}")
        if not np.isfinite(actions).all():
            raise ValueError(
                f"{int((~np.isfinite(actions)).sum())} of {actions.size} values in the chunk are not finite"
            )
        if self._new is not None:
            if actions.shape[1] != self._new.actions.shape[1]:
                raise ValueError(f"a chunk of {actions.shape[1]} joints, not {self._new.actions.shape[1]}")
            if t_obs_ns <= self._new.t_obs_ns:
                return False
        self._old, self._new = self._new, _Chunk(np.asarray(actions, dtype=np.float64), t_obs_ns, t_ns)
        return True

    def target(self, t_ns: int) -> np.ndarray | None:
        """The (J,) target for the moment `t_ns`; None before the first chunk and once the last one has run out."""
        if self._new is None:
            return None
        target = self._at(self._new, t_ns)
        if target is None:
            return None
        fade = (t_ns - self._new.from_ns) / (self.config.blend_s * NS) if self.config.blend_s > 0 else 1.0
        if self._old is not None and fade < 1.0:
            old = self._at(self._old, t_ns)
            if old is not None:
                weight = min(max(fade, 0.0), 1.0)
                target = weight * target + (1.0 - weight) * old
        return target

    def _at(self, chunk: _Chunk, t_ns: int) -> np.ndarray | None:
        position = (t_ns - chunk.t_obs_ns) / NS * self.config.fps
        last = len(chunk.actions) - 1
        if position > last + self.config.overrun_s * self.config.fps:
            return None
        position = min(max(position, 0.0), float(last))
        before = int(position)
        after = min(before + 1, last)
        part = position - before
        blended: np.ndarray = (1.0 - part) * chunk.actions[before] + part * chunk.actions[after]
        return blended
