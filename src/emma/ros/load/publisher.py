"""The load's publisher: raw messages with numbers, at fixed rates, as long as it is told."""

import heapq
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from rclpy.node import Node
from rclpy.publisher import Publisher
from std_msgs.msg import String
from std_srvs.srv import Trigger

from emma.bench.load import DIGITS, NUMBER_AT, STAMP_AT, Load, stamped
from emma.bench.load_messages import templates
from emma.control.pacing import prefer_this_process
from emma.errors import EmmaError
from emma.robots.spec import load_robot
from emma.ros import messages, qos
from emma.ros.load.states import LoadState
from emma.ros.nodes.recorder import NICE
from emma.ros.parameters import declare, parameter, read
from emma.ros.raw_subscriptions import message_class
from emma.ros.runner import Stop, run
from emma.ros.service_replies import answer

# What a driver's own buffers hold while it is held up.
HELD_S = 0.15


@dataclass(frozen=True, kw_only=True)
class LoadParameters:
    """Parameters of the load's publisher."""

    robot: str = parameter("", "robot.yaml of the load")
    factor: float = parameter(1.0, "how many times as fast as the load's own rates", minimum=0.001, runtime=True)
    seconds: float = parameter(1.0, "how long one run lasts", minimum=0.01, runtime=True)


@dataclass
class Stream:
    """One topic. bodies: what follows the frame id, one in turn."""

    topic: str
    publisher: Publisher
    encapsulation: bytes
    bodies: list[memoryview]


class LoadNode(Node):
    """`~/start` sends for `seconds` on a thread of its own, numbers from 0; `~/state` says what was sent."""

    def __init__(self, stop: Stop) -> None:
        prefer_this_process(NICE)
        super().__init__("load")
        self.spec = load_robot(declare(self, LoadParameters).robot)
        self._streams = list(self._make())
        self._state = self.create_publisher(String, "~/state", qos.LATCHED)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._sent: Counter[str] = Counter()
        self._bytes, self._elapsed, self._late, self._skipped, self._runs, self._running = 0, 0.0, 0.0, 0, 0, False
        self.create_service(Trigger, "~/start", answer(lambda _: self._start()))
        self.create_service(Trigger, "~/stop", answer(lambda _: self._end()))
        self.create_timer(0.1, self._say)

    def close(self) -> None:
        self._end()

    def sign(self) -> str:
        return f"{'sending' if self._running else 'idle'} after {self._runs} runs"

    def _make(self) -> Iterator[Stream]:
        kinds = self.spec.topics()
        for topic, raw in templates(self.spec).items():
            cls = message_class(kinds[topic])
            assert cls is not None, f"{kinds[topic]} comes with emma[ros]"
            publisher: Publisher = self.create_publisher(cls, topic, qos.SENSOR_OFFER)
            bodies = [memoryview(data)[NUMBER_AT + DIGITS :] for data in raw]
            yield Stream(topic, publisher, raw[0][:STAMP_AT], bodies)

    def _start(self) -> None:
        if self._running:
            raise EmmaError("the load is being sent", found="running", expected="one run at a time")
        values = read(self, LoadParameters)
        self._running = True
        self._stop.clear()
        self._thread = threading.Thread(target=self._send, args=(values.factor, values.seconds), name="load")
        self._thread.start()

    def _end(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._say()

    def _send(self, factor: float, seconds: float) -> None:
        load, order = Load().scaled(factor), count()
        self._sent, self._bytes, self._late, self._skipped = Counter(), 0, 0.0, 0
        rates = {self.spec.state_topic: load.state_hz, self.spec.command.topic: load.command_hz}
        due = [(0.0, next(order), stream, 1 / rates.get(stream.topic, load.camera_hz)) for stream in self._streams]
        heapq.heapify(due)
        began = time.monotonic()
        stamp_ns = time.time_ns()
        while due and not self._stop.is_set():
            at, _, stream, period = heapq.heappop(due)
            now = time.monotonic() - began
            if now < at:
                time.sleep(at - now)
            self._late = max(self._late, now - at)
            number = self._sent[stream.topic]
            body = stream.bodies[number % len(stream.bodies)]
            data = stamped(stamp_ns + round(at * 1e9), number, body, stream.encapsulation)
            stream.publisher.publish(data)
            self._sent[stream.topic] += 1
            self._bytes += len(data)
            # As a driver does that was held up: what it missed was never sent, and it sends no burst.
            missed = max(0, int((now - at - HELD_S) / period))
            self._skipped += missed
            following = round(at / period + 1 + missed) * period
            if following < seconds:
                heapq.heappush(due, (following, next(order), stream, period))
        self._elapsed = time.monotonic() - began
        self._runs, self._running = self._runs + 1, False

    def _say(self) -> None:
        matched = min(stream.publisher.get_subscription_count() for stream in self._streams)
        state = LoadState(
            running=self._running,
            runs=self._runs,
            sent=dict(self._sent),
            matched=matched,
            mb_per_s=self._bytes / 1e6 / self._elapsed if self._elapsed else 0.0,
            late_s=self._late,
            skipped=self._skipped,
        )
        self._state.publish(messages.text(state))


def main() -> int:
    """Run the load's publisher."""
    return run(LoadNode)


if __name__ == "__main__":
    sys.exit(main())
