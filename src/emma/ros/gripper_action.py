"""Gripper targets as goals of a control_msgs/GripperCommand action, as ros2_control's gripper controllers take them."""

import importlib
from typing import Any

from rclpy.action import ActionClient
from rclpy.node import Node

from emma.errors import EmmaError

# A goal takes tens of milliseconds: a target nearer to the last goal than this, in the action's unit, is no new one.
SAME = 1e-3


class GripperAction:
    """Sends a goal when the target has moved. A goal that is under way is replaced by the next, as the action says."""

    def __init__(self, node: Node, name: str) -> None:
        """Raises EmmaError without the package control_msgs."""
        try:
            kind: Any = importlib.import_module("control_msgs.action").GripperCommand
        except ImportError:
            raise EmmaError(
                f"gripper action {name} needs the ROS package control_msgs",
                found="it is not installed for this Python",
                expected="control_msgs",
                fix="build it in a workspace with this environment's Python, or give the gripper a position controller "
                "and kind: forward_position",
            ) from None
        self._goal = kind.Goal
        self._client: Any = ActionClient(node, kind, name)
        self._last: float | None = None

    @property
    def ready(self) -> bool:
        """Whether a node takes goals."""
        answer: bool = self._client.server_is_ready()
        return answer

    def send(self, position: float) -> None:
        """Ask for `position`, in the unit of the action."""
        if self._last is not None and abs(position - self._last) < SAME:
            return
        self._last = position
        goal = self._goal()
        goal.command.position = position
        self._client.send_goal_async(goal)

    def close(self) -> None:
        self._client.destroy()
