"""A look at every message while it is recorded: rates, stamps, skew between cameras, images that stand still.

Messages are not decoded: a header stamp is the first eight bytes of every message that has one, and whether an image
changed is seen from a few hundred of its bytes. What is wrong is said while the episode can still be repeated.
"""

import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass

from emma.robots.spec import RobotSpec

# A topic slower than this share of its rate in the spec is reported.
SLOW = 0.8
# A jump: stamps that go back by more than two threads overtaking each other, or skip this long and so many periods.
BACK_NS = 1_000_000
GAP_NS, GAP_PERIODS = 200_000_000, 4.0
# An image that is the same for so long has stopped: a camera's noise never repeats. Rendered images may well repeat.
FROZEN_S, FROZEN_IMAGES = 1.0, 5
# Bytes between two looks: odd, so that both bytes of 16-bit depth are seen, and prime to usual row lengths.
STRIDE = 4099
IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
STAMPED = (
    *IMAGES,
    "sensor_msgs/msg/CameraInfo",
    "sensor_msgs/msg/JointState",
    "trajectory_msgs/msg/JointTrajectory",
)
# After four bytes of CDR encapsulation, the second of which says the byte order: seconds and nanoseconds.
STAMPS = {0: struct.Struct(">iI"), 1: struct.Struct("<iI")}
STAMP_END = 12


@dataclass(frozen=True, kw_only=True)
class WatchReport:
    """What the last look found. rates_hz: topic -> messages per second.

    skew_s: between the cameras' newest images, the mean over time, as a live observation sees it; None before all came.
    problems: what is wrong now; jumps: topic -> what its stamps did since the last report.
    """

    rates_hz: Mapping[str, float]
    skew_s: float | None
    problems: tuple[str, ...]
    jumps: Mapping[str, str]


@dataclass
class _Topic:
    """One topic since the last report."""

    stamped: bool
    image: bool
    rate_hz: float = 0.0
    count: int = 0
    stamp: int = 0
    jump: str = ""
    look: int = 0
    same: int = 0
    same_since: float = 0.0


class Watch:
    """Looks at the messages of one robot. `add` costs microseconds and may be called from one thread at a time."""

    def __init__(self, spec: RobotSpec, *, skip: tuple[str, ...] = (), check_rates: bool = True) -> None:
        """skip: topics of the robot that are not recorded. check_rates: False where time is simulated."""
        self._spec, self._check_rates = spec, check_rates
        self._expected = {topic: rate for topic, rate in expected_rates(spec).items() if topic not in skip}
        self._cameras = tuple(c.image_topic for c in spec.cameras if c.image_topic not in skip)
        self._kinds = spec.topics()
        self._topics: dict[str, _Topic] = {}
        self._at = time.monotonic()
        self._newest: dict[str, int] = {}
        self._spread_at: float | None = None
        self._spread_sum, self._spread_s = 0.0, 0.0

    def add(self, topic: str, data: bytes, now_s: float | None = None) -> None:
        """Look at one serialised message. now_s: monotonic time of its arrival."""
        seen = self._topics.get(topic)
        if seen is None:
            kind = self._kinds.get(topic, "")
            image = kind in IMAGES and not self._spec.simulated
            seen = self._topics[topic] = _Topic(
                stamped=kind in STAMPED, image=image, rate_hz=self._expected.get(topic, 0.0)
            )
        seen.count += 1
        now = time.monotonic() if now_s is None else now_s
        if seen.stamped and len(data) >= STAMP_END:
            if topic in self._cameras:
                self._spread(now)
                self._newest[topic] = self._stamp(seen, data)
            else:
                self._stamp(seen, data)
        if seen.image:
            look = hash(data[STAMP_END + STRIDE :: STRIDE] or data[STAMP_END:])
            if look != seen.look or not seen.same:
                seen.look, seen.same, seen.same_since = look, 0, now
            seen.same += 1

    def report(self, now_s: float | None = None) -> WatchReport:
        """What was seen since the last report."""
        now = time.monotonic() if now_s is None else now_s
        seconds, self._at = max(now - self._at, 1e-3), now
        rates = {topic: seen.count / seconds for topic, seen in self._topics.items()}
        jumps = {topic: seen.jump for topic, seen in self._topics.items() if seen.jump}
        problems = [f"{topic}: {jump}" for topic, jump in jumps.items()]
        for topic, expected in self._expected.items():
            rate = rates.get(topic, 0.0)
            if self._check_rates and rate < SLOW * expected:
                problems.append(f"{topic} at {rate:.1f} of {expected:g} Hz")
        for topic, seen in self._topics.items():
            if seen.image and seen.same >= FROZEN_IMAGES and now - seen.same_since >= FROZEN_S and seen.count:
                problems.append(f"{topic} shows the same image for {now - seen.same_since:.1f} s")
            seen.count, seen.jump = 0, ""
        skew = self._skew_s()
        if skew is not None and skew > self._spec.max_skew_s:
            problems.append(f"cameras {skew * 1e3:.0f} ms apart, more than {self._spec.max_skew_s * 1e3:.0f} ms")
        return WatchReport(rates_hz=rates, skew_s=skew, problems=tuple(problems), jumps=jumps)

    def _stamp(self, seen: _Topic, data: bytes) -> int:
        seconds, nanoseconds = STAMPS[data[1] & 1].unpack_from(data, 4)
        stamp: int = seconds * 1_000_000_000 + nanoseconds
        if seen.stamp:
            step = stamp - seen.stamp
            periods = GAP_PERIODS * 1e9 / seen.rate_hz if seen.rate_hz else float("inf")
            if seen.jump:
                pass  # the first one tells what happened, the next may only be the way back
            elif step < -BACK_NS:
                seen.jump = f"stamps went back by {-step / 1e9:.3f} s"
            elif step > max(GAP_NS, periods):
                seen.jump = f"no stamp for {step / 1e9:.3f} s"
        seen.stamp = stamp
        return stamp

    def _spread(self, now: float) -> None:
        """Weigh the distance between the cameras' newest stamps with the time it lasted."""
        last, self._spread_at = self._spread_at, now
        if last is not None and len(self._newest) == len(self._cameras):
            spread = max(self._newest.values()) - min(self._newest.values())
            self._spread_sum += spread * (now - last)
            self._spread_s += now - last

    def _skew_s(self) -> float | None:
        total, seconds, self._spread_sum, self._spread_s = self._spread_sum, self._spread_s, 0.0, 0.0
        return total / seconds / 1e9 if seconds > 0 and len(self._cameras) > 1 else None


def expected_rates(spec: RobotSpec) -> dict[str, float]:
    """The topics whose rate the spec tells, in Hz. Commands come only while the robot is moved."""
    rates = {state.topic: state.rate_hz or spec.state_rate_hz for state in spec.state_topics}
    for camera in spec.cameras:
        topics = (camera.image_topic, camera.info_topic, camera.depth_topic)
        rates |= {topic: camera.rate_hz for topic in topics if topic}
    return rates
