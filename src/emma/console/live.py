"""What the console needs of a running robot. `emma.ros.nodes.web_console` has the ROS side; without one it reviews."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

# What a page may ask for. Nothing here moves a joint by itself: the nodes decide, as for the keys of the terminal.
ACTIONS = (
    "start",
    "save",
    "discard",
    "success",
    "failure",
    "delete_last",
    "take",
    "give",
    "enable",
    "disable",
    "next",
    "instruct",
    "swap",
    "roll_back",
    "cycle_start",
    "cycle_pause",
    "cycle_go_on",
    "release_stop",
)


class Live(Protocol):
    """A running graph. `act` and `stop` may block; they are called on threads of their own."""

    @property
    def cameras(self) -> Sequence[str]:
        """The robot's cameras, in its order."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """What does not change: robot, joints with units and limits, cameras, bundles to swap to."""
        ...

    def state(self) -> Mapping[str, Any]:
        """Everything that a page shows of this moment, as JSON types. Quick, from any thread."""
        ...

    def watch(self, camera: str, on: bool) -> None:
        """Begin or end to receive a camera's pictures."""
        ...

    def picture(self, camera: str) -> tuple[int, int] | None:
        """Number and header stamp (ns) of the newest picture received; None before the first."""
        ...

    def decode(self, camera: str) -> tuple[int, int, np.ndarray]:
        """Number, stamp and (H, W, 3) uint8 RGB of the newest picture."""
        ...

    def act(self, action: str, argument: str) -> str:
        """Do one of ACTIONS; returns what came of it, raises EmmaError where it is refused."""
        ...

    def stop(self) -> str:
        """Press the emergency stop."""
        ...
