"""One commander at a time: which commands on a robot's topics are not ours.

ROS 2 has no exclusive publisher, and a publisher that only exists does no harm: a node that is not enabled, or one that
was killed and is still in the graph for 20 s. So what counts is what is heard.
"""

import time
from collections import deque
from collections.abc import Sequence

import numpy as np
from rclpy.node import Node

from emma.errors import EmmaError

# After this long without a foreign command its sender has stopped.
RECENT_S = 1.0
# As many foreign commands within RECENT_S are another commander; a single one is not.
SEVERAL = 5
# Own commands that are remembered: 10 s at 50 Hz, longer than any of them is under way.
REMEMBERED = 500


class Commanders:
    """Tells own commands on `topics` from others'. `sent` and `heard` may come from different threads."""

    def __init__(self, node: Node, topics: Sequence[str]) -> None:
        self._node, self._topics = node, tuple(topics)
        self._sent: dict[str, deque[bytes]] = {topic: deque(maxlen=REMEMBERED) for topic in topics}
        self._foreign: dict[str, deque[float]] = {topic: deque(maxlen=SEVERAL) for topic in topics}

    def sent(self, topic: str, values: np.ndarray) -> None:
        """A command with these values (N,) is about to be published."""
        self._sent[topic].appendleft(np.asarray(values, dtype="<f8").tobytes())

    def heard(self, topic: str, data: bytes) -> None:
        """A serialised command came. All command types hold the values as they are: float64, little endian."""
        if not any(own in data for own in tuple(self._sent[topic])):
            self._foreign[topic].append(time.monotonic())

    @property
    def conflict(self) -> str:
        """Who else has been commanding, in words; "" for none. One group that another commands is enough."""
        since = time.monotonic() - RECENT_S
        for topic, foreign in self._foreign.items():
            if len(foreign) >= SEVERAL and foreign[0] >= since:
                return f"commands of {self.others((topic,)) or 'an unknown node'} on {topic}"
        return ""

    def forget(self) -> None:
        """What was heard so far does not count: whoever it was has handed over."""
        for foreign in self._foreign.values():
            foreign.clear()

    def others(self, topics: Sequence[str] = ()) -> str:
        """The nodes beside this one that could publish on the topics; on all of them if none are named."""
        names: set[str] = set()
        own = self._node.get_fully_qualified_name()
        for topic in topics or self._topics:
            found = self._node.get_publishers_info_by_topic(topic)
            here = [f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in found]
            names |= {name for name in here if name != own}
            if here.count(own) > 1:
                names.add(f"another {own}")
        return ", ".join(sorted(names))

    def require_alone(self) -> None:
        """Raise EmmaError while another publisher commands."""
        if conflict := self.conflict:
            raise EmmaError(
                "another node commands the robot",
                found=conflict,
                expected="one commander at a time",
                fix="disable or end the other one first",
            )
