"""The policy's side of a handover: lets go when a person takes the robot, and takes it back from where they left it.

`/intervention` (std_msgs/Bool, latched) says who has the robot. True: the policy brakes, stops commanding and says so
on its `~/state`; only then does the person's node command. False comes when the person's commands have ended, at rest.
So there is one commander at a time, and each starts at the last command of the other.
"""

from collections.abc import Callable

import numpy as np
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from rclpy.timer import Timer
from std_msgs.msg import Bool

from emma.control.policy_loop import PolicyLoop
from emma.errors import EmmaError
from emma.messages import decode_command
from emma.robots.spec import RobotSpec
from emma.ros import messages, qos
from emma.ros.commanders import Commanders

INTERVENTION = "/intervention"
# How soon after coming to rest the policy says so.
LOOK_S = 0.02


class InterventionGate:
    """Follows `/intervention` for one control loop. changed() is called when the policy's state is worth saying."""

    def __init__(
        self,
        node: Node,
        spec: RobotSpec,
        loop: PolicyLoop,
        changed: Callable[[], None],
        commanders: Commanders,
    ) -> None:
        self._node, self._spec, self._loop, self._changed = node, spec, loop, changed
        self._commanders = commanders
        self.person = False
        self._resume = False
        # The newest command on the topic, whose ever, serialised: it is needed once an intervention.
        self._commanded: bytes | None = None
        self._releasing: Timer | None = None
        kind = messages.COMMAND_TYPES[spec.command.kind]
        self._subscriptions = [
            node.create_subscription(Bool, INTERVENTION, self._on_intervention, qos.LATCHED),
            node.create_subscription(kind, spec.command.topic, self._on_command, qos.COMMAND, raw=True),
        ]

    def close(self) -> None:
        """Stop listening."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []
        self._end_releasing()

    def forget(self) -> None:
        """The policy was disabled: it shall not go on when the person gives the robot back."""
        self._resume = False

    def require_free(self) -> None:
        """Raise EmmaError while a person has the robot. One whose node is gone, has it no longer."""
        if self.person and self._node.count_publishers(INTERVENTION) == 0:
            self.person = False
        if self.person:
            raise EmmaError(
                "a person has the robot",
                found=f"{INTERVENTION} says true",
                expected="one commander at a time",
                fix="give it back first: key t, or the teleop's ~/give",
            )

    def _on_intervention(self, message: Bool) -> None:
        if message.data == self.person:
            return
        self.person = message.data
        if self.person:
            self._resume = self._loop.commanding
            self._loop.release()
            self._end_releasing()
            self._releasing = self._node.create_timer(LOOK_S, self._look)
        else:
            self._commanders.forget()
            if self._resume:
                self._resume = False
                self._go_on()
        self._changed()

    def _go_on(self) -> None:
        try:
            self._loop.enable(commanded=self._last_command())
        except EmmaError as error:
            self._node.get_logger().error(f"the person gave the robot back, but the policy cannot go on: {error}")

    def _look(self) -> None:
        if not self._loop.commanding:
            self._end_releasing()
            self._changed()

    def _end_releasing(self) -> None:
        if self._releasing is not None:
            self._node.destroy_timer(self._releasing)
            self._releasing = None

    def _on_command(self, data: bytes) -> None:
        self._commanded = data
        # A person's commands are expected.
        if not self.person:
            self._commanders.heard(data)

    def _last_command(self) -> np.ndarray | None:
        if self._commanded is None:
            return None
        kind = messages.COMMAND_TYPES[self._spec.command.kind]
        return decode_command(deserialize_message(self._commanded, kind), self._spec).astype(np.float64)
