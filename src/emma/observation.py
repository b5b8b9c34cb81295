"""Observations from streams: the one place that says which message belongs to which moment, live and from a bag.

Rule: at time t every stream gives its latest sample whose header stamp is **not newer** than t. A sample from the
future is never used, so a policy sees in training what it can see on the robot.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emma.errors import EmmaError
from emma.messages import CommandedMotion, decode_depth, decode_image, decode_motion, merge_states, stamp_ns
from emma.robots.spec import CommandGroup, RobotSpec, StateTopic
from emma.robots.turns import Turns
from emma.streams import CLOCK_JUMP_NS, COMMAND, SAMPLES, STATE, Sample, Stream, is_command, is_state

__all__ = ["CLOCK_JUMP_NS", "COMMAND", "STATE", "Aligner", "Observation", "is_command", "is_state"]

# The shortest span of a stream: a camera may be this late beside joint states of any rate.
SPAN_S = 1.0
# Bounds the memory of image streams.
IMAGES_HZ = 120.0

# Messages of other joints on the state topic are passed over while this robot's own still come.
STATE_PERIODS = 1.5


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What the robot saw and felt at one moment.

    stamp_ns: the moment it stands for; state: (J,) float32 in the spec's joint order and units;
    images: camera -> (H, W, 3) uint8 RGB; depth: camera -> (H, W) uint16 mm;
    past: what was seen before, oldest first, for a policy that looks back;
    ages_s: stream name -> seconds between its sample's stamp and the moment; skew_s: newest minus oldest camera stamp.
    """

    stamp_ns: int
    state: np.ndarray
    images: Mapping[str, np.ndarray]
    depth: Mapping[str, np.ndarray] = field(default_factory=dict)
    ages_s: Mapping[str, float] = field(default_factory=dict)
    skew_s: float = 0.0
    past: tuple["Observation", ...] = ()

    def stale(self, max_age_s: float) -> dict[str, float]:
        """The streams older than `max_age_s` with their ages in seconds."""
        return {stream: age for stream, age in self.ages_s.items() if age > max_age_s}


class Aligner:
    """Joins the streams of one robot into observations. Not thread-safe: the owner holds a lock.

    Streams are named `state`, `command`, `images.<camera>` and `depth.<camera>`. Each keeps `span_s` of samples
    (default: from the robot's rates and age limit), so that a moment which the slowest camera has just reached still
    has the joint state of that time, whatever their rate. Messages are decoded only when an observation uses them, and
    once; `push_decoded` takes what was decoded elsewhere.
    """

    def __init__(
        self,
        spec: RobotSpec,
        *,
        cameras: Iterable[str] | None = None,
        depth: bool = False,
        span_s: float | None = None,
    ) -> None:
        self.spec = spec
        self.cameras = tuple(cameras) if cameras is not None else spec.camera_names
        self.turns = Turns(spec)
        names = _numbered(STATE, [each.topic for each in spec.state_topics])
        self._states = dict(zip(names, spec.state_topics, strict=True))
        self._topics: dict[str, str] = {state.topic: stream for stream, state in self._states.items()}
        for name in self.cameras:
            camera = spec.camera(name)
            self._topics[camera.image_topic] = f"images.{name}"
            if depth and camera.depth_topic:
                self._topics[camera.depth_topic] = f"depth.{name}"
        self._needed = tuple(self._topics.values())
        groups = spec.command_groups
        self._groups = dict(zip(_numbered(COMMAND, [group.name for group in groups]), groups, strict=True))
        for stream, group in self._groups.items():
            self._topics.setdefault(group.recorded_topic, stream)
        span_ns = int((_span_s(spec) if span_s is None else span_s) * 1e9)
        images = math.ceil(span_ns / 1e9 * IMAGES_HZ)
        self._streams = {
            stream: Stream(span_ns, SAMPLES if is_state(stream) or is_command(stream) else images)
            for stream in (*self._needed, *self._groups)
        }
        self._decoded: dict[str, tuple[Sample, np.ndarray]] = {}
        self._commanded: dict[str, tuple[Sample, CommandedMotion, np.ndarray | None]] = {}

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics whose messages `push` wants."""
        return tuple(self._topics)

    @property
    def streams(self) -> Mapping[str, str]:
        """Topic -> stream, of all topics that `push` wants."""
        return self._topics

    @property
    def states(self) -> Mapping[str, StateTopic]:
        """Stream -> topic of joint states."""
        return self._states

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

    def push_decoded(self, topic: str, stamp_ns: int, value: np.ndarray | EmmaError) -> None:
        """Take what a message of `topic` was decoded to, or the error that an observation with it raises."""
        stream = self._topics.get(topic)
        if stream is not None:
            self._streams[stream].push(stamp_ns, value=value)

    def clear(self) -> None:
        """Forget all samples, as after a clock jump."""
        for stream in self._streams.values():
            stream.clear()
        self._decoded.clear()
        self._commanded.clear()
        self.turns.forget()

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
        ages = {stream: math.inf if stamp is None else (now_ns - stamp) / 1e9 for stream, stamp in newest.items()}
        if len(self._states) > 1:
            # Joint states are as old as their oldest part: without one arm's, nothing may move.
            ages[STATE] = max(ages[stream] for stream in self._states)
        return ages

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
        state, state_ns = self._state(t_ns)
        ages_s = {stream: (t_ns - sample.stamp_ns) / 1e9 for stream, sample in samples.items()}
        stamps = [sample.stamp_ns for stream, sample in samples.items() if stream.startswith("images.")]
        depth = [camera for camera in self.cameras if f"depth.{camera}" in samples]
        return Observation(
            stamp_ns=t_ns,
            state=state,
            images={c: self._decode(f"images.{c}", samples[f"images.{c}"]) for c in self.cameras},
            depth={c: self._decode(f"depth.{c}", samples[f"depth.{c}"]) for c in depth},
            ages_s=ages_s | {STATE: (t_ns - state_ns) / 1e9},
            skew_s=(max(stamps) - min(stamps)) / 1e9 if stamps else 0.0,
        )

    def state_at(self, t_ns: int) -> tuple[np.ndarray, float] | None:
        """The joint state at `t_ns` and its age in seconds, without touching the cameras; None before the first one."""
        if any(self._streams[stream].at(t_ns) is None for stream in self._states):
            return None
        state, state_ns = self._state(t_ns)
        return state, (t_ns - state_ns) / 1e9

    def measured(self) -> tuple[np.ndarray, int] | None:
        """The newest joint state (J,) and its stamp; None before the first one. Raises EmmaError if it is broken."""
        newest = [self._streams[stream].newest_ns for stream in self._states]
        stamps = [stamp for stamp in newest if stamp is not None]
        return self._state(max(stamps)) if len(stamps) == len(newest) else None

    def command_at(self, t_ns: int) -> np.ndarray | None:
        """(J,) float32: the commanded positions at `t_ns`, or None before the first command of every group.

        That is the target of the latest command not newer than `t_ns`; of a trajectory, its position at that time.
        """
        if len(self._groups) == 1 and self.spec.command.topic == self.spec.state_topic:
            state = self.state_at(t_ns)
            return None if state is None else state[0]
        result = np.zeros(len(self.spec.joints), np.float32)
        for stream, group in self._groups.items():
            sample = self._streams[stream].at(t_ns)
            if sample is None:
                return None
            places = [self.spec.index(name) for name in self.spec.led(group)]
            if sample.value is not None:
                result[places] = self._decode(stream, sample)
            else:
                motion, start = self._motion(stream, group, sample)
                result[places] = motion.at((t_ns - sample.stamp_ns) / 1e9, None if start is None else start[places])
        return self.turns.beside(result)

    def _motion(self, stream: str, group: CommandGroup, sample: Sample) -> tuple[CommandedMotion, np.ndarray | None]:
        """A command's motion, and where the joints (J,) were at its start if that matters."""
        known = self._commanded.get(stream)
        if known is None or known[0] is not sample:
            motion = decode_motion(sample.message, self.spec, group)
            measured = self.state_at(sample.stamp_ns) if motion.needs_start else None
            known = self._commanded[stream] = (sample, motion, None if measured is None else measured[0])
        return known[1:]

    def _state(self, t_ns: int) -> tuple[np.ndarray, int]:
        """The joint state at `t_ns` and its stamp: of its oldest part, where joints come in several messages."""
        if len(self._states) == 1:
            state, stamp = self._part(STATE, self._states[STATE], t_ns)
            return self.turns.unwrap(state), stamp
        whole = np.zeros(len(self.spec.joints), np.float32)
        stamps = []
        for stream, topic in self._states.items():
            values, stamp = self._part(stream, topic, t_ns)
            whole[[self.spec.index(name) for name in topic.joints]] = values
            stamps.append(stamp)
        return self.turns.unwrap(whole), min(stamps)

    def _part(self, stream: str, topic: StateTopic, t_ns: int) -> tuple[np.ndarray, int]:
        """The joints of one state topic at `t_ns`, in its order, and the stamp of their oldest part."""
        newest = next(self._streams[stream].until(t_ns))
        cached = self._decoded.get(stream)
        if newest.value is not None or (cached is not None and cached[0] is newest):
            return self._decode(stream, newest), newest.stamp_ns
        stamps: list[int] = []

        def newest_first() -> Iterator[Any]:
            for sample in self._streams[stream].until(t_ns):
                if sample.value is not None or sample.stamp_ns < newest.stamp_ns - self.spec.max_age_s * 1e9:
                    # A joint that came once and no more is missing, whatever else still comes.
                    return
                stamps.append(sample.stamp_ns)
                yield sample.message

        state, parts = merge_states(newest_first(), self.spec, topic)
        rate_hz = topic.rate_hz or self.spec.state_rate_hz
        if (silent_s := (stamps[0] - stamps[parts[0]]) / 1e9) > STATE_PERIODS / rate_hz:
            raise EmmaError(
                f"joints missing on {topic.topic}: {', '.join(topic.joints)}",
                found=f"only messages of other joints for {silent_s:.3f} s",
                expected="a driver of this robot",
                fix=f"check the driver, or the joint names in {self.spec.folder / 'robot.yaml'}",
            )
        if parts == [0]:
            self._decoded[stream] = (newest, state)
        return state, stamps[parts[-1]]

    def _decode(self, stream: str, sample: Sample) -> np.ndarray:
        if isinstance(sample.value, EmmaError):
            raise sample.value
        if sample.value is not None:
            return sample.value
        cached, message = self._decoded.get(stream), sample.message
        if cached is not None and cached[0] is sample:
            return cached[1]
        kind, name = stream.split(".", 1)
        decode = decode_image if kind == "images" else decode_depth
        value = decode(message, self.spec.camera(name))
        self._decoded[stream] = (sample, value)
        return value


def _numbered(kind: str, names: list[str]) -> list[str]:
    """Stream names: the kind for the first, kind:name for the others."""
    return [kind if number == 0 else f"{kind}:{name}" for number, name in enumerate(names)]


def _span_s(spec: RobotSpec) -> float:
    """Twice the age at which a stream is useless, and two periods of the slowest camera."""
    slowest = min((camera.rate_hz for camera in spec.cameras), default=spec.fps)
    return max(SPAN_S, 2.0 * spec.max_age_s + 2.0 / slowest)
