"""The newest pictures of some cameras of a running robot, with the joints and the depth of their moment."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np

from emma.calibrate.gather import SAME_MOMENT_S, depth_topic
from emma.calibrate.joint_reader import JointReader
from emma.errors import EmmaError
from emma.messages import stamp_ns
from emma.robots.spec import TRANSPORTS, Camera, RobotSpec
from emma.ros import qos
from emma.ros.client import RosClient
from emma.ros.raw_subscriptions import message_class

# Joint states of two seconds at 1 kHz: longer than a picture is late.
STATES = 2000
# Pictures that wait for their depth, and depth for its picture.
WAITING = 8
NS = 1_000_000_000


@dataclass(frozen=True)
class Picture:
    """image, depth: messages, depth None where it was not asked for; time_s: their stamp; joints (J,) then."""

    camera: str
    image: Any
    depth: Any
    time_s: float
    joints: np.ndarray


@dataclass
class _Stream:
    """What came of one camera and was not taken yet; `heard_s`: when the last picture was taken."""

    camera: Camera
    images: deque[Any]
    depths: deque[Any]
    info: Any = None
    heard_s: float = 0.0


class CameraFeed:
    """A context manager. joints: names whose positions belong to a picture; depth: a picture waits for its depth."""

    def __init__(
        self, spec: RobotSpec, cameras: Sequence[Camera], joints: Sequence[str] = (), *, depth: bool = False
    ) -> None:
        """Raises EmmaError where depth is asked for and a camera has none."""
        self._spec, self._depth = spec, depth
        self._streams = {
            c.name: _Stream(c, deque(maxlen=WAITING if depth else 1), deque(maxlen=WAITING)) for c in cameras
        }
        self._depth_topics = {c.name: depth_topic(c) for c in cameras} if depth else {}
        self._lock = threading.Condition()
        self._joints = JointReader(spec, joints, keep=STATES) if joints else None
        self._start_ns = time.time_ns()

    def __enter__(self) -> Self:
        self._client = RosClient("emma_calibrate")
        for name, stream in self._streams.items():
            camera, hear = stream.camera, partial(self._take, stream)
            self._listen(camera.image_topic, TRANSPORTS[camera.transport], partial(hear, stream.images))
            if camera.info_topic:
                self._listen(camera.info_topic, "sensor_msgs/msg/CameraInfo", partial(self._take_info, stream))
            if self._depth:
                self._listen(self._depth_topics[name], "sensor_msgs/msg/Image", partial(hear, stream.depths))
            stream.heard_s = time.monotonic()
        if self._joints is not None:
            for topic in self._joints.topics:
                self._listen(topic, "sensor_msgs/msg/JointState", partial(self._take_state, self._joints, topic))
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def info(self, camera: str) -> Any:
        """The newest CameraInfo, None where there was none."""
        return self._streams[camera].info

    def picture(self, timeout_s: float, of: Collection[str] = ()) -> Picture:
        """A new picture of the camera that waited longest; of: cameras that are still wanted, () for all.

        Raises EmmaError when one of them, or the joints, stay silent for so long.
        """
        wanted = [stream for name, stream in self._streams.items() if not of or name in of]
        with self._lock:
            while (stream := self._ready(wanted)) is None or self._silent(wanted, timeout_s):
                if late := self._silent(wanted, timeout_s):
                    raise EmmaError(
                        f"no message on {late}",
                        found=f"nothing for {timeout_s:g} s",
                        expected=f"the topics of robot {self._spec.name}",
                        fix="start the driver, and compare `ros2 topic list` with robot.yaml and ROS_DOMAIN_ID",
                    )
                self._lock.wait(timeout_s / 4)
            image, depth = self._pair(stream)
            stream.images.clear()
            stream.heard_s = time.monotonic()
            time_s = self._seconds(image)
            joints = np.zeros(0) if self._joints is None else self._joints.track().lines(np.array([time_s]))[0][0]
            return Picture(stream.camera.name, image, depth, time_s, joints)

    def _ready(self, wanted: Sequence[_Stream]) -> _Stream | None:
        return min(filter(self._usable, wanted), key=lambda stream: stream.heard_s, default=None)

    def _usable(self, stream: _Stream) -> bool:
        """Whether there is a picture with all that belongs to it: joint states until its moment, too."""
        image, _ = self._pair(stream)
        return image is not None and (self._joints is None or self._joints.reach(self._seconds(image)))

    def _pair(self, stream: _Stream) -> tuple[Any, Any]:
        """The newest picture, and its depth where that is wanted; None where there is none."""
        if not self._depth:
            return (stream.images[-1] if stream.images else None), None
        for image in reversed(stream.images):
            for depth in stream.depths:
                if abs(self._seconds(image) - self._seconds(depth)) <= SAME_MOMENT_S:
                    return image, depth
        return None, None

    def _silent(self, wanted: Sequence[_Stream], timeout_s: float) -> str:
        """The topics for which a picture has been waiting too long, "" for none."""
        for stream in wanted:
            if time.monotonic() - stream.heard_s <= timeout_s or self._usable(stream):
                continue
            if self._joints is not None and self._pair(stream)[0] is not None:
                return ", ".join(self._joints.topics)
            return self._depth_topics[stream.camera.name] if stream.images else stream.camera.image_topic
        return ""

    def _listen(self, topic: str, kind: str, take: Any) -> None:
        message = message_class(kind)
        assert message is not None, f"{kind} is one of the standard messages"
        self._client.node.create_subscription(message, topic, take, qos.SENSOR_WANT)

    def _take(self, _stream: _Stream, queue: deque[Any], message: Any) -> None:
        with self._lock:
            queue.append(message)
            self._lock.notify_all()

    def _take_info(self, stream: _Stream, message: Any) -> None:
        stream.info = message

    def _take_state(self, joints: JointReader, topic: str, message: Any) -> None:
        with self._lock:
            # What does not fit is as good as silence, which is reported.
            with contextlib.suppress(EmmaError):
                joints.push(topic, message, self._seconds(message))
            self._lock.notify_all()

    def _seconds(self, message: Any) -> float:
        stamp = stamp_ns(message)
        return ((time.time_ns() if stamp is None else stamp) - self._start_ns) / NS
