"""The policy's side of a handover: lets go when a person takes the robot, and takes it back from where they left it.

`/intervention` (std_msgs/Bool, latched) says who has the robot. True: the policy brakes, stops commanding and says so
on its `~/state`; only then does the person's node command. False comes when the person's commands have ended, at rest.
So there is one commander at a time, and each starts at the last command of the other.
"""

from collections.abc import Callable
from functools import partial

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
        beside: Callable[[np.ndarray], np.ndarray] = lambda position: position,
    ) -> None:
        """beside(position (J,)): the same angles in the turns of the measured state."""
        self._node, self._spec, self._loop, self._changed = node, spec, loop, changed
        self._commanders, self._beside = commanders, beside
        self.person = False
        self._resume = False
        # The newest command of every group, whose ever, serialised: it is needed once an intervention.
        self._commanded: dict[str, bytes] = {}
        self._releasing: Timer | None = None
        self._subscriptions = [node.create_subscription(Bool, INTERVENTION, self._on_intervention, qos.LATCHED)]
        for group in spec.command_groups:
            kind, topic = messages.COMMAND_TYPES[group.kind], group.recorded_topic
            hear = partial(self._on_command, topic)
            self._subscriptions.append(node.create_subscription(kind, topic, hear, qos.COMMAND, raw=True))

    def close(self) -> None:
        """Stop listening."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []
        self._end_releasing()

    @property
    def resumes(self) -> bool:
        """Whether the policy goes on when the person gives the robot back."""
        return self.person and self._resume

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

    def _on_command(self, topic: str, data: bytes) -> None:
        self._commanded[topic] = data
        # A person's commands are expected.
        if not self.person:
            self._commanders.heard(topic, data)

    def _last_command(self) -> np.ndarray | None:
        """(J,) what every group was commanded last; None while one was not."""
        result = np.zeros(len(self._spec.joints))
        for group in self._spec.command_groups:
            data = self._commanded.get(group.recorded_topic)
            if data is None:
                return None
            message = deserialize_message(data, messages.COMMAND_TYPES[group.kind])
            places = [self._spec.index(name) for name in self._spec.led(group)]
            result[places] = decode_command(message, self._spec, group)
        return self._beside(result)
