"""What every runtime does: an observation and an instruction in, an action chunk out."""

from typing import Protocol

import numpy as np

from emma.observation import Observation


class PolicyRuntime(Protocol):
    """Computes action chunks. One thread at a time."""

    name: str

    def infer(self, observation: Observation, instruction: str) -> np.ndarray:
        """(chunk, J) float32 absolute joint targets; action k stands for `observation.stamp_ns` + k / fps."""
        ...

    def close(self) -> None:
        """Free what the runtime holds."""
        ...
