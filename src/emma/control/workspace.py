"""Where the tool may be: a box in the robot's base frame, and what is needed to know where the tool is."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class ForwardKinematics(Protocol):
    """Where a robot's tool is."""

    def __call__(self, joints: np.ndarray) -> np.ndarray:
        """(J,) joints in the spec's order and units -> (3,) m: the tool centre point in the robot's base frame."""
        ...


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """A box that the tool centre point stays in. lower, upper: opposite corners (x, y, z) in m, in the base frame."""

    lower: tuple[float, float, float]
    upper: tuple[float, float, float]
    kinematics: ForwardKinematics

    def __post_init__(self) -> None:
        if len(self.lower) != 3 or len(self.upper) != 3:
            raise ValueError(f"a workspace has two corners of three numbers, not {self.lower} and {self.upper}")
        if not all(low < high for low, high in zip(self.lower, self.upper, strict=True)):
            raise ValueError(f"a workspace's lower corner {self.lower} must be below its upper one {self.upper}")

    def outside(self, joints: np.ndarray) -> float:
        """How far outside the box the tool is (m), 0 within; NaN where the kinematics give no finite place."""
        tool = self.kinematics(joints)
        if not np.isfinite(tool).all():
            return float("nan")
        return float(np.linalg.norm(np.maximum(np.maximum(np.array(self.lower) - tool, tool - self.upper), 0.0)))
