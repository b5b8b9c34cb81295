"""One commander at a time: which commands on the topic are not ours.

ROS 2 has no exclusive publisher, and a publisher that only exists does no harm: a node that is not enabled, or one that
was killed and is still in the graph for 20 s. So what counts is what is heard.
"""

import time
from collections import deque

import numpy as np
from rclpy.node import Node

from emma.errors import EmmaError

# After this long without a foreign command its sender has stopped.
RECENT_S = 1.0
# As many foreign commands within RECENT_S are somebody who commands; a single one is a slip of the hand.
SEVERAL = 5
# Own commands that are remembered: 10 s at 50 Hz, longer than any of them is under way.
REMEMBERED = 500


class Commanders:
    """Tells own commands on `topic` from others'. `sent` and `heard` may come from different threads."""

    def __init__(self, node: Node, topic: str) -> None:
        self._node, self._topic = node, topic
        self._sent: deque[bytes] = deque(maxlen=REMEMBERED)
        self._foreign: deque[float] = deque(maxlen=SEVERAL)

    def sent(self, position: np.ndarray) -> None:
        """A command (J,) is about to be published."""
        self._sent.appendleft(np.asarray(position, dtype="<f8").tobytes())

    def heard(self, data: bytes) -> None:
        """A serialised command came. All command types hold the positions as they are: float64, little endian."""
        if not any(own in data for own in tuple(self._sent)):
            self._foreign.append(time.monotonic())

    @property
    def conflict(self) -> str:
        """Who else has been commanding, in words; "" if nobody."""
        since = time.monotonic() - RECENT_S
        if len(self._foreign) < SEVERAL or self._foreign[0] < since:
            return ""
        return f"commands of {self.others() or 'an unknown node'} on {self._topic}"

    def forget(self) -> None:
        """What was heard so far does not count: whoever it was has handed over."""
        self._foreign.clear()

    def others(self) -> str:
        """The nodes beside this one that could publish on the topic."""
        found = self._node.get_publishers_info_by_topic(self._topic)
        names = sorted({f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in found})
        own = self._node.get_fully_qualified_name()
        alike = sum(f"{info.node_namespace.rstrip('/')}/{info.node_name}" == own for info in found) > 1
        return ", ".join(f"another {name}" if name == own else name for name in names if name != own or alike)

    def require_alone(self) -> None:
        """Raise EmmaError while somebody else commands."""
        if conflict := self.conflict:
            raise EmmaError(
                "somebody else commands the robot",
                found=conflict,
                expected="one commander at a time",
                fix="disable or end the other one first",
            )
