"""What a person's node knows of the policy: whether it still commands."""

import json
import time

from rclpy.node import Node
from std_msgs.msg import String

from emma.ros import qos

POLICY_STATE = "/policy/state"
JOG_TOPIC = "/jog"
# The policy node says its state four times a second; after this long it is dead or stopped.
SILENT_S = 1.5


class PolicyWatch:
    """Follows `/policy/state`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._said: dict = {}
        self._heard_s = 0.0
        node.create_subscription(String, POLICY_STATE, self._on_state, qos.LATCHED)

    def in_the_way(self, asked_s: float) -> str:
        """Why a person who asked at `asked_s` (monotonic) may not drive yet; "" if the policy is absent or let go."""
        if self._node.count_publishers(POLICY_STATE) == 0 or time.monotonic() - max(self._heard_s, asked_s) > SILENT_S:
            return ""
        mode = self._said.get("mode")
        if mode == "inactive":
            return ""
        if self._heard_s >= asked_s and self._said.get("intervention") and mode in ("disabled", "stopped"):
            return ""
        return "the policy does not let go"

    def _on_state(self, message: String) -> None:
        self._said, self._heard_s = json.loads(message.data), time.monotonic()
