"""The newest picture of one camera of a running robot, and the joints of its moment."""

import threading
import time
from collections import deque
from typing import Any, Self

import numpy as np

from emma.calibrate.joint_track import Track
from emma.errors import EmmaError
from emma.messages import named_positions, stamp_ns
from emma.robots.spec import TRANSPORTS, Camera, RobotSpec
from emma.ros import qos
from emma.ros.client import RosClient
from emma.ros.raw_subscriptions import message_class

# Joint states of half a minute at 1 kHz.
STATES = 30_000
NS = 1_000_000_000


class CameraFeed:
    """A context manager. joints: names whose positions belong to a picture; none for a lens alone."""

    def __init__(self, spec: RobotSpec, camera: Camera, joints: tuple[str, ...] = ()) -> None:
        self._spec, self._camera, self._joints = spec, camera, joints
        self._lock = threading.Condition()
        self._image: Any = None
        self._info: Any = None
        self._known: dict[str, float] = {}
        self._rows: deque[tuple[float, np.ndarray]] = deque(maxlen=STATES)
        self._start_ns = time.time_ns()

    def __enter__(self) -> Self:
        self._client = RosClient("emma_calibrate")
        wanted = {self._camera.image_topic: (TRANSPORTS[self._camera.transport], self._take_image)}
        if self._camera.info_topic:
            wanted[self._camera.info_topic] = ("sensor_msgs/msg/CameraInfo", self._take_info)
        if self._joints:
            wanted[self._spec.state_topic] = ("sensor_msgs/msg/JointState", self._take_state)
        for topic, (kind, take) in wanted.items():
            message = message_class(kind)
            assert message is not None, f"{kind} is one of the standard messages"
            self._client.node.create_subscription(message, topic, take, qos.SENSOR_WANT)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @property
    def info(self) -> Any:
        """The newest CameraInfo, None where there was none."""
        return self._info

    def picture(self, timeout_s: float) -> tuple[Any, float, np.ndarray]:
        """A new image message, its time in s, and the joints (J,) then. Raises EmmaError when nothing comes in time."""
        with self._lock:
            if not self._lock.wait_for(lambda: self._image is not None and self._ready(), timeout_s):
                missing = self._camera.image_topic if self._image is None else self._spec.state_topic
                raise EmmaError(
                    f"no message on {missing}",
                    found=f"nothing for {timeout_s:g} s",
                    expected=f"the topics of robot {self._spec.name}",
                    fix="start the driver, and compare `ros2 topic list` with robot.yaml and ROS_DOMAIN_ID",
                )
            message, self._image = self._image, None
            time_s = self._seconds(message)
            if not self._joints:
                return message, time_s, np.zeros(0)
            track = Track(np.array([t for t, _ in self._rows]), np.stack([row for _, row in self._rows]))
            return message, time_s, track.lines(np.array([time_s]))[0][0]

    def _ready(self) -> bool:
        return not self._joints or len(self._rows) >= 3

    def _take_image(self, message: Any) -> None:
        with self._lock:
            self._image = message
            self._lock.notify_all()

    def _take_info(self, message: Any) -> None:
        self._info = message

    def _take_state(self, message: Any) -> None:
        with self._lock:
            try:
                self._known |= named_positions(message.name, message.position, self._spec.state_topic)
            except EmmaError:
                return
            time_s = self._seconds(message)
            if all(name in self._known for name in self._joints) and (not self._rows or time_s > self._rows[-1][0]):
                self._rows.append((time_s, np.array([self._known[name] for name in self._joints])))
                self._lock.notify_all()

    def _seconds(self, message: Any) -> float:
        stamp = stamp_ns(message)
        return ((time.time_ns() if stamp is None else stamp) - self._start_ns) / NS
