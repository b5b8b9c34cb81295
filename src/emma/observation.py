"""Observations from streams: the one place that says which message belongs to which moment, live and from a bag.

Rule: at time t every stream gives its latest sample whose header stamp is **not newer** than t. A sample from the
future is never used, so a policy sees in training what it can see on the robot.
"""

import math
from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emma.errors import EmmaError
from emma.messages import decode_command, decode_depth, decode_image, decode_state, stamp_ns
from emma.robots.spec import RobotSpec

# A stamp this much older than its stream's newest one is a clock set back, not a late message.
CLOCK_JUMP_NS = 1_000_000_000

STATE = "state"
COMMAND = "command"


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What the robot saw and felt at one moment.

    stamp_ns: the moment it stands for; state: (J,) float32 in the spec's joint order and units;
    images: camera -> (H, W, 3) uint8 RGB; depth: camera -> (H, W) uint16 mm;
    ages_s: stream name -> seconds between its sample's stamp and the moment; skew_s: newest minus oldest camera stamp.
    """

    stamp_ns: int
    state: np.ndarray
    images: Mapping[str, np.ndarray]
    depth: Mapping[str, np.ndarray] = field(default_factory=dict)
    ages_s: Mapping[str, float] = field(default_factory=dict)
    skew_s: float = 0.0

    def stale(self, max_age_s: float) -> dict[str, float]:
        """The streams older than `max_age_s` with their ages in seconds."""
        return {stream: age for stream, age in self.ages_s.items() if age > max_age_s}


class Stream:
    """The last `keep` samples of one stream in stamp order, whatever order they arrived in."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._samples: list[tuple[int, int, Any]] = []
        self._count = 0

    def push(self, stamp: int, message: Any) -> None:
        if self._samples and stamp < self._samples[-1][0] - CLOCK_JUMP_NS:
            # The clock was set back: samples "from the future" would hide every new one.
            self._samples.clear()
        # The counter keeps arrival order among equal stamps and spares messages from being compared.
        insort(self._samples, (stamp, self._count, message))
        self._count += 1
        if len(self._samples) > self._keep:
            del self._samples[0]

    def at(self, t_ns: int) -> tuple[int, Any] | None:
        """Stamp and message of the latest sample not newer than `t_ns`, or None."""
        i = bisect_right(self._samples, t_ns, key=lambda sample: sample[0])
        return (self._samples[i - 1][0], self._samples[i - 1][2]) if i else None

    @property
    def newest_ns(self) -> int | None:
        return self._samples[-1][0] if self._samples else None

    def clear(self) -> None:
        self._samples.clear()


class Aligner:
    """Joins the streams of one robot into observations. Not thread-safe: the owner holds a lock.

    Streams are named `state`, `command`, `images.<camera>` and `depth.<camera>`. Messages are decoded only when an
    observation uses them, and once.
    """

    def __init__(
        self, spec: RobotSpec, *, cameras: Iterable[str] | None = None, depth: bool = False, keep: int = 32
    ) -> None:
        self.spec = spec
        self.cameras = tuple(cameras) if cameras is not None else spec.camera_names
        self._topics: dict[str, str] = {spec.state_topic: STATE}
        for name in self.cameras:
            camera = spec.camera(name)
            self._topics[camera.image_topic] = f"images.{name}"
            if depth and camera.depth_topic:
                self._topics[camera.depth_topic] = f"depth.{name}"
        self._needed = tuple(self._topics.values())
        self._topics.setdefault(spec.command.topic, COMMAND)
        self._streams = {stream: Stream(keep) for stream in (*self._needed, COMMAND)}
        self._decoded: dict[str, tuple[Any, np.ndarray]] = {}

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics whose messages `push` wants."""
        return tuple(self._topics)

    @property
    def needed(self) -> tuple[str, ...]:
        """The streams every observation must have."""
        return self._needed

    def push(self, topic: str, message: Any, receive_ns: int) -> None:
        """Take one deserialised message; one without a header counts from `receive_ns`. Other topics are ignored."""
        stream = self._topics.get(topic)
        if stream is not None:
            stamp = stamp_ns(message)
            self._streams[stream].push(receive_ns if stamp is None else stamp, message)

    def clear(self) -> None:
        """Forget all samples, as after a clock jump."""
        for stream in self._streams.values():
            stream.clear()
        self._decoded.clear()

    def missing(self, t_ns: int) -> tuple[str, ...]:
        """The needed streams without any sample at or before `t_ns`."""
        return tuple(stream for stream in self._needed if self._streams[stream].at(t_ns) is None)

    def newest_ns(self) -> int | None:
        """The newest moment for which every needed stream has its sample, or None while one has none."""
        newest = [self._streams[stream].newest_ns for stream in self._needed]
        return None if None in newest else min(stamp for stamp in newest if stamp is not None)

    def ages_s(self, now_ns: int) -> dict[str, float]:
        """Seconds since the newest sample of every needed stream; `inf` for a stream that never came."""
        newest = {stream: self._streams[stream].newest_ns for stream in self._needed}
        return {stream: math.inf if stamp is None else (now_ns - stamp) / 1e9 for stream, stamp in newest.items()}

    def at(self, t_ns: int) -> Observation:
        """The observation at `t_ns`. Raises EmmaError if a needed stream has no sample yet or one cannot be decoded."""
        found = {stream: self._streams[stream].at(t_ns) for stream in self._needed}
        absent = [stream for stream, sample in found.items() if sample is None]
        if absent:
            topics = [topic for topic, stream in self._topics.items() if stream in absent]
            raise EmmaError(
                f"no message yet on {', '.join(topics)}",
                found=f"streams without data: {', '.join(absent)}",
                expected=f"{', '.join(self._needed)}",
                fix="start the driver, or correct the topic in robot.yaml",
            )
        samples = {stream: sample for stream, sample in found.items() if sample is not None}
        stamps = [stamp for stream, (stamp, _) in samples.items() if stream.startswith("images.")]
        return Observation(
            stamp_ns=t_ns,
            state=self._decode(STATE, samples[STATE][1]),
            images={c: self._decode(f"images.{c}", samples[f"images.{c}"][1]) for c in self.cameras},
            depth={
                c: self._decode(f"depth.{c}", samples[f"depth.{c}"][1]) for c in self.cameras if f"depth.{c}" in samples
            },
            ages_s={stream: (t_ns - stamp) / 1e9 for stream, (stamp, _) in samples.items()},
            skew_s=(max(stamps) - min(stamps)) / 1e9 if stamps else 0.0,
        )

    def state_at(self, t_ns: int) -> tuple[np.ndarray, float] | None:
        """The joint state at `t_ns` and its age in seconds, without touching the cameras; None before the first one."""
        sample = self._streams[STATE].at(t_ns)
        return None if sample is None else (self._decode(STATE, sample[1]), (t_ns - sample[0]) / 1e9)

    def command_at(self, t_ns: int) -> np.ndarray | None:
        """(J,) float32: the latest command not newer than `t_ns`, or None before the first one."""
        stream = STATE if self.spec.command.topic == self.spec.state_topic else COMMAND
        sample = self._streams[stream].at(t_ns)
        return None if sample is None else self._decode(COMMAND, sample[1])

    def _decode(self, stream: str, message: Any) -> np.ndarray:
        cached = self._decoded.get(stream)
        if cached is not None and cached[0] is message:
            return cached[1]
        if stream == STATE:
            value = decode_state(message, self.spec)
        elif stream == COMMAND:
            value = decode_command(message, self.spec)
        else:
            kind, name = stream.split(".", 1)
            decode = decode_image if kind == "images" else decode_depth
            value = decode(message, self.spec.camera(name))
        self._decoded[stream] = (message, value)
        return value
