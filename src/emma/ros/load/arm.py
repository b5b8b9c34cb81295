"""An arm with large cameras for the control bench: follows its commands, and sends prepared pictures at full size."""

import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from emma.bench.load import STAMP_AT, stamped
from emma.bench.load_messages import FRAME_AT, camera_templates
from emma.control.pacing import FixedRate
from emma.messages import decode_command
from emma.records import encode
from emma.robots.spec import load_robot
from emma.ros import messages, qos
from emma.ros.parameters import declare, parameter
from emma.ros.raw_subscriptions import message_class
from emma.ros.runner import Stop, run
from emma.ros.service_replies import answer
from emma.sim.sim_state import SimReset

TASK = SimReset(seed=0, target="bin", instruction="put the cube in the bin", cube_pose=(0.0, 0.0, 0.0), episode=0)
# Share of the distance to the command that the arm covers in one joint state: it lags by some hundredths of a second.
FOLLOWS = 0.1


@dataclass(frozen=True, kw_only=True)
class ArmParameters:
    """Parameters of the arm."""

    robot: str = parameter("", "robot.yaml")


class ArmNode(Node):
    """Stands in for `sim`: joint states and cameras at the rates of the robot file; `~/reset` gives an instruction."""

    def __init__(self, _stop: Stop) -> None:
        super().__init__("sim")
        self.spec = load_robot(declare(self, ArmParameters).robot)
        self._position = np.asarray(self.spec.home, np.float64)
        self._commanded = self._position.copy()
        kinds = self.spec.topics()
        self._state = self.create_publisher(JointState, self.spec.state_topic, qos.SENSOR_OFFER)
        self._pictures = []
        for i, camera in enumerate(self.spec.cameras):
            kind = message_class(kinds[camera.image_topic])
            assert kind is not None, f"{kinds[camera.image_topic]} comes with emma[ros]"
            publisher: Publisher = self.create_publisher(kind, camera.image_topic, qos.SENSOR_OFFER)
            self._pictures.append((camera, publisher, camera_templates(i, camera)))
        kind = messages.COMMAND_TYPES[self.spec.command.kind]
        self.create_subscription(kind, self.spec.command.topic, self._on_command, qos.COMMAND)
        self.create_service(Trigger, "~/reset", answer(lambda _: encode(TASK)))
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=self._send_states, daemon=True),
            *(threading.Thread(target=self._send_pictures, args=one, daemon=True) for one in self._pictures),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(2.0)

    def sign(self) -> str:
        return "follows its commands"

    def _on_command(self, message: Any) -> None:
        self._commanded = decode_command(message, self.spec).astype(np.float64)

    def _send_states(self) -> None:
        rate = FixedRate(1.0 / self.spec.state_rate_hz, self._ending)
        while rate.wait() is not None:
            self._position += FOLLOWS * (self._commanded - self._position)
            self._state.publish(messages.joint_state(self.spec.joint_names, self._position, time.time_ns()))

    def _send_pictures(self, camera: Any, publisher: Any, templates: list[bytes]) -> None:
        rate, number = FixedRate(1.0 / camera.rate_hz, self._ending), 0
        bodies = [memoryview(data)[FRAME_AT:] for data in templates]
        while rate.wait() is not None:
            publisher.publish(stamped(time.time_ns(), number, bodies[number % len(bodies)], templates[0][:STAMP_AT]))
            number += 1


def main() -> int:
    """Run the arm."""
    return run(ArmNode)


if __name__ == "__main__":
    sys.exit(main())
