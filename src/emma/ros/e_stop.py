"""`/e_stop` (std_msgs/Bool): True stops at once and stays until a person enables again. A wish, not a safety device.

A robot's own emergency stop cuts its power and needs no computer; this one stops commands, for buttons and consoles.
"""

from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool

from emma.errors import EmmaError
from emma.ros import qos

E_STOP = "/e_stop"
# Whoever presses may offer any quality of service: a latched one that was pressed before this node came, a reliable
# one as `ros2 topic pub`, a best-effort one as a microcontroller. Hearing it twice does no harm.
WANTS = (qos.LATCHED, QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE), qos.SENSOR_WANT)


class EStop:
    """Follows `/e_stop`. changed(pressed) is called when it changes; `pressed` is what was said last."""

    def __init__(self, node: Node, changed: Callable[[bool], None]) -> None:
        self.pressed = False
        self._changed = changed
        for profile in WANTS:
            node.create_subscription(Bool, E_STOP, self._on_message, profile)

    def require_clear(self) -> None:
        """Raise EmmaError while it is pressed."""
        if self.pressed:
            raise EmmaError(
                "the emergency stop is pressed",
                found=f"{E_STOP} says true",
                expected="false",
                fix=f"see that the robot is safe, publish false on {E_STOP}, then enable again",
            )

    def _on_message(self, message: Bool) -> None:
        if message.data != self.pressed:
            self.pressed = message.data
            self._changed(message.data)
