"""Publishes one vector of joint targets as a message for each command group, at the rate of each."""

import threading

import numpy as np
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile

from emma.robots.joint_messages import encode_command
from emma.robots.spec import CommandGroup, RobotSpec
from emma.ros import messages, qos
from emma.ros.commanders import Commanders
from emma.ros.gripper_action import GripperAction

NS = 1_000_000_000


class GroupCommands:
    """Every method may be called from any thread.

    A group that is slower than the control rate skips ticks; `flush` sends it what it skipped last, so that a robot
    that stops is commanded as a whole.
    """

    def __init__(
        self, node: Node, spec: RobotSpec, profile: QoSProfile = qos.COMMAND, commanders: Commanders | None = None
    ) -> None:
        """Raises EmmaError for a gripper action whose package is not installed."""
        self._node, self._spec, self._commanders = node, spec, commanders
        self._lock = threading.Lock()
        self._groups: list[_Group] = []
        for group in spec.command_groups:
            kind = messages.COMMAND_TYPES[group.kind]
            action = GripperAction(node, group.topic) if group.kind == "gripper_action" else None
            publisher = node.create_publisher(kind, group.recorded_topic, profile)
            every = 1 if group.rate_hz is None else max(1, round(spec.control_rate_hz / group.rate_hz))
            self._groups.append(_Group(group, publisher, action, every))
        self._tick = 0
        self._newest: tuple[np.ndarray, int] | None = None

    @property
    def listeners(self) -> int:
        """How many nodes take the commands: of the group that has fewest."""
        return min(group.listeners for group in self._groups)

    def publish(self, position: np.ndarray, stamp_ns: int) -> None:
        """Send (J,) targets to every group whose turn it is."""
        with self._lock:
            self._newest = (position, stamp_ns)
            for group in self._groups:
                if self._tick % group.every == 0:
                    self._send(group, position, stamp_ns)
                else:
                    group.skipped = True
            self._tick += 1

    def flush(self) -> None:
        """Send the newest targets to the groups that skipped them: nothing may follow for a while."""
        with self._lock:
            self._tick = 0
            if self._newest is not None:
                for group in self._groups:
                    if group.skipped:
                        self._send(group, *self._newest)

    def close(self) -> None:
        """Leave the topics."""
        for group in self._groups:
            self._node.destroy_publisher(group.publisher)
            if group.action is not None:
                group.action.close()

    def _send(self, group: "_Group", position: np.ndarray, stamp_ns: int) -> None:
        group.skipped = False
        if self._commanders is not None:
            values = encode_command(position, self._spec, group.group)
            self._commanders.sent(group.group.recorded_topic, values)
        group.publisher.publish(messages.command(self._spec, position, stamp_ns, group.group))
        if group.action is not None:
            group.action.send(float(encode_command(position, self._spec, group.group)[0]))


class _Group:
    def __init__(self, group: CommandGroup, publisher: Publisher, action: GripperAction | None, every: int) -> None:
        self.group, self.publisher, self.action, self.every = group, publisher, action, every
        self.skipped = False

    @property
    def listeners(self) -> int:
        if self.action is not None:
            return int(self.action.ready)
        count: int = self.publisher.get_subscription_count()
        return count
