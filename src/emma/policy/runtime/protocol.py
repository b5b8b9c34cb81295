"""What every runtime does: an observation and an instruction in, an action chunk out."""

import importlib
import os
from typing import Protocol

import numpy as np

from emma.observation import Observation

# Nothing here may reach for a hub: a bundle holds all that it needs.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
PLUGINS = ("lerobot_policy_spatial_flow",)


class PolicyRuntime(Protocol):
    """Computes action chunks. One thread at a time."""

    name: str

    def infer(self, observation: Observation, instruction: str) -> np.ndarray:
        """(chunk, J) float32 absolute joint targets; action k stands for `observation.stamp_ns` + k / fps."""
        ...

    def close(self) -> None:
        """Free what the runtime holds."""
        ...


def register_plugins() -> None:
    """Make this project's policy classes known to LeRobot."""
    for name in PLUGINS:
        importlib.import_module(name)
