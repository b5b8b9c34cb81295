"""What every runtime does: an observation and an instruction in, an action chunk out."""

from typing import Protocol

import numpy as np

from emma.observation import Observation
from emma.policy.chunk_blending import Previous


class PolicyRuntime(Protocol):
    """Computes action chunks. One thread at a time."""

    name: str
    # Why this runtime runs the bundle here.
    reason: str

    @property
    def rtc(self) -> str:
        """How a chunk can continue the previous one: "trained" or "guided" real-time chunking, or "" for neither."""
        ...

    @property
    def past_s(self) -> tuple[float, ...]:
        """How far a policy looks back, seconds, the furthest first: an observation's `past` is of these moments."""
        ...

    @property
    def note(self) -> str:
        """What an operator should know of the last chunk, such as poses out of reach; else empty."""
        ...

    @property
    def isolated(self) -> bool:
        """Whether another process computes, so that `close` also ends an `infer` that hangs."""
        ...

    def reset(self, seed: int) -> None:
        """Restart the noise of a flow policy, as at the start of an episode; nothing for others."""
        ...

    def infer(self, observation: Observation, instruction: str, previous: Previous | None = None) -> np.ndarray:
        """(chunk, J) float32 absolute joint targets; action k stands for `observation.stamp_ns` + k / fps.

        previous: the chunk in execution, for a runtime that can continue it; others leave it aside.
        """
        ...

    def close(self) -> None:
        """Free what the runtime holds."""
        ...
