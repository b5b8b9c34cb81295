"""What a person's node knows of the policy: whether it still commands."""

import time

from rclpy.node import Node
from std_msgs.msg import String

from emma.control.controller import Mode
from emma.control.policy_state import POLICY_STATE, PolicyState
from emma.errors import EmmaError
from emma.ros import qos

JOG_TOPIC = "/jog"
# The policy node says its state four times a second; after this long it is dead or stopped.
SILENT_S = 1.5


class PolicyWatch:
    """Follows `/policy/state`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._said: PolicyState | None = None
        # Why what the policy says cannot be read.
        self._refused = ""
        self._heard_s = 0.0
        node.create_subscription(String, POLICY_STATE.name, self._on_state, qos.LATCHED)

    def in_the_way(self, asked_s: float) -> str:
        """Why a person who asked at `asked_s` (monotonic) may not drive yet; "" if the policy is absent or let go."""
        if (
            self._node.count_publishers(POLICY_STATE.name) == 0
            or time.monotonic() - max(self._heard_s, asked_s) > SILENT_S
        ):
            return ""
        said = self._said
        if said is None:
            return self._refused or "the policy does not let go"
        let_go = self._heard_s >= asked_s and said.intervention and said.mode in (Mode.DISABLED, Mode.STOPPED)
        return "" if let_go or said.mode is Mode.INACTIVE else "the policy does not let go"

    def _on_state(self, message: String) -> None:
        self._heard_s, self._said, self._refused = time.monotonic(), None, ""
        try:
            self._said = POLICY_STATE.read(message.data)
        except EmmaError as error:
            self._refused = str(error)
