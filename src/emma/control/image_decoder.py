"""Camera messages to pixels, away from the control tick: once a frame, newest first, skipped rather than queued."""

import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emma.arrays import Array
from emma.errors import EmmaError
from emma.messages import decode_depth, decode_image, stamp_ns
from emma.robots.spec import Camera, RobotSpec


@dataclass(frozen=True, kw_only=True)
class DecodedFrame:
    """One frame of a camera topic. value: (H, W, 3) uint8 RGB or (H, W) uint16 mm, or why it cannot be decoded;
    fingerprint: a checksum of the message's data, equal for equal pictures; camera: "" for depth."""

    topic: str
    stamp_ns: int
    value: Array | EmmaError
    fingerprint: int
    camera: str


class ImageDecoder:
    """A thread that decodes the newest waiting frame of each topic; OpenCV and zlib leave the interpreter to others.

    `deliver` is called on that thread. skipped: frames that a newer one of their topic replaced before their turn.
    """

    def __init__(self, spec: RobotSpec, deliver: Callable[[DecodedFrame], None]) -> None:
        self._deliver = deliver
        self._cameras: dict[str, tuple[Camera, bool]] = {}
        for camera in spec.cameras:
            self._cameras[camera.image_topic] = (camera, False)
            if camera.depth_topic:
                self._cameras[camera.depth_topic] = (camera, True)
        self.skipped = 0
        self._waiting: dict[str, tuple[int, Any]] = {}
        self._busy = False
        self._condition = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="decode", daemon=True)
        self._thread.start()

    def offer(self, topic: str, message: Any, receive_ns: int) -> bool:
        """Take a message. False if the topic is not one of a camera: the caller keeps it."""
        if topic not in self._cameras:
            return False
        stamp = stamp_ns(message)
        with self._condition:
            self.skipped += topic in self._waiting
            # A newer frame keeps its topic's place in the line, so no camera starves another.
            self._waiting[topic] = (receive_ns if stamp is None else stamp, message)
            self._condition.notify_all()
        return True

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until every frame that was offered is decoded. False when time is up."""
        with self._condition:
            return self._condition.wait_for(lambda: not self._waiting and not self._busy, timeout_s)

    def close(self) -> None:
        """End the thread; frames that wait are dropped."""
        with self._condition:
            self._closing = True
            self._waiting.clear()
            self._condition.notify_all()
        self._thread.join(2.0)

    def _run(self) -> None:
        while True:
            with self._condition:
                self._busy = False
                self._condition.notify_all()
                self._condition.wait_for(lambda: self._waiting or self._closing)
                if self._closing:
                    return
                topic = next(iter(self._waiting))
                stamp, message = self._waiting.pop(topic)
                self._busy = True
            self._deliver(self._decoded(topic, stamp, message))

    def _decoded(self, topic: str, stamp: int, message: Any) -> DecodedFrame:
        camera, depth = self._cameras[topic]
        value: Array | EmmaError
        try:
            value = (decode_depth if depth else decode_image)(message, camera)
        except EmmaError as error:
            value = error
        fingerprint = 0 if depth else zlib.crc32(message.data)
        return DecodedFrame(
            topic=topic, stamp_ns=stamp, value=value, fingerprint=fingerprint, camera="" if depth else camera.name
        )
