"""What a viewer takes: pictures, joints and the predicted chunk, each with its moment."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

# Kinds of joint values: measured, commanded, and in a dataset the action of a frame.
STATE, COMMAND = "state", "command"


class Sink(Protocol):
    """A viewer. Moments are ns since the epoch; joints follow `names` of its making, in rad and m."""

    def picture(self, camera: str, time_ns: int, data: bytes, media: str) -> None:
        """One encoded picture. media: image/jpeg or image/png."""
        ...

    def joints(self, kind: str, time_ns: int, values: Sequence[float]) -> None:
        """(J,) values. kind: STATE or COMMAND."""
        ...

    def chunk(self, times_ns: Sequence[int], positions: np.ndarray) -> None:
        """(K,) moments ahead and (K, J) positions: what the policy is about to do."""
        ...

    def words(self, time_ns: int, text: str) -> None:
        """The instruction, or the state of the robot."""
        ...

    def close(self) -> None:
        """Write or send what is left."""
        ...
