"""Where the tools may be: a box in the robot's base frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from emma.arrays import Array
from emma.robots.kinematics import Kinematics
from emma.robots.spec import RobotSpec


class ToolPositions(Protocol):
    """Where a robot's tools are."""

    def __call__(self, joints: Array) -> Array:
        """(J,) joints in the spec's order and units -> (T, 3) m: every tool in the robot's base frame."""
        ...


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """A box that every tool stays in. lower, upper: opposite corners (x, y, z) in m, in the base frame."""

    lower: tuple[float, float, float]
    upper: tuple[float, float, float]
    tools: ToolPositions

    def __post_init__(self) -> None:
        if len(self.lower) != 3 or len(self.upper) != 3:
            raise ValueError(f"a workspace has two corners of three numbers, not {self.lower} and {self.upper}")
        if not all(low < high for low, high in zip(self.lower, self.upper, strict=True)):
            raise ValueError(f"a workspace's lower corner {self.lower} must be below its upper one {self.upper}")

    @classmethod
    def of(cls, spec: RobotSpec, box: Sequence[float]) -> "Workspace":
        """box: the lower corner, then the upper one. Raises EmmaError for a robot whose kinematics are not known."""
        if len(box) != 6:
            raise ValueError(f"workspace is x, y, z of the lower corner and of the upper one, not {len(box)} numbers")
        arm = Kinematics.of(spec)

        def tools(joints: Array) -> Array:
            return np.stack([pose[:3, 3] for pose in arm.forward(joints).values()])

        x, y, z, far_x, far_y, far_z = box
        return cls(lower=(x, y, z), upper=(far_x, far_y, far_z), tools=tools)

    def outside(self, joints: Array) -> float:
        """How far outside the box the furthest tool is (m), 0 within; NaN where its place is not finite."""
        at = self.tools(joints)
        if not np.isfinite(at).all():
            return float("nan")
        beyond = np.maximum(np.maximum(np.array(self.lower) - at, at - self.upper), 0.0)
        return float(np.linalg.norm(beyond, axis=-1).max())
