"""The frames of a recorded episode, through the same aligner as on the robot."""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from emma.bags.clocks import moments
from emma.bags.episode import EpisodeMeta
from emma.bags.mcap_records import RELEASE_BYTES
from emma.bags.reader import Bag
from emma.bags.timeline import Timeline, timeline
from emma.conversion.joint_parts import joint_parts
from emma.datasets.encode import Frame
from emma.errors import EmmaError
from emma.frozen_cameras import FrozenCameras
from emma.messages import check_plausible
from emma.observation import Aligner
from emma.robots.agreement import Description, compare, of_robot
from emma.robots.spec import TRANSPORTS, RobotSpec
from emma.streams import is_command, is_state

# Shorter silences of a commander are no news, nor are pictures that stay the same for less.
PAUSE_S, FROZEN_S = 0.5, 1.0


class EpisodeFrames:
    """The (observation, action) pairs of a bag, 1 / fps apart. The bag stays open while it is used.

    `timeline` is known at once, from stamps; iterating decodes one frame at a time, whatever the length.
    """

    def __init__(self, bag: Bag, spec: RobotSpec, *, cameras: Iterable[str] | None = None, depth: bool = True) -> None:
        """Raises EmmaError if the bag lacks a topic or messages of it, or its clock was set back."""
        self._bag, self._spec, self._depth = bag, spec, depth
        self._cameras = None if cameras is None else tuple(cameras)
        aligner = self._aligner()
        streams = dict(aligner.streams)
        missing = [topic for topic in streams if topic not in bag.topics]
        if missing:
            raise EmmaError(
                f"{bag.path.name} lacks {', '.join(missing)}",
                found=", ".join(bag.topics) or "no topics",
                expected=f"the topics of robot {spec.name}",
                fix="record with this robot, or convert with fewer cameras or without depth",
            )
        _check_types(bag, spec, streams)
        index = bag.index
        found = moments(
            index,
            {stream: index.of(bag.topics[topic].number) for topic, stream in streams.items()},
            headed=[stream for topic, stream in streams.items() if bag.topics[topic].has_header],
            planned=[stream for stream in streams.values() if is_command(stream)],
        )
        self._positions, self._stamps_ns = dict(found.positions), dict(found.stamps_ns)
        notes: list[str] = []
        lines: dict[str, np.ndarray] = {}
        for stream, topic in aligner.states.items():
            parts = joint_parts(bag, spec, topic, stream, found.positions[stream])
            ours = np.logical_or.reduce(list(parts.members.values()))
            self._positions[stream] = found.positions[stream][ours]
            self._stamps_ns[stream] = found.stamps_ns[stream][ours]
            lines |= {name: found.stamps_ns[stream][member] for name, member in parts.members.items()}
            notes += parts.notes
        lines |= {stream: stamps for stream, stamps in found.stamps_ns.items() if not is_state(stream)}
        self.timeline: Timeline = timeline(lines, spec.fps)
        self._frozen: dict[str, float] = {}
        self._notes = (*found.notes, *notes, *_late(self.timeline, spec.max_age_s), *_pauses(self.timeline))

    @property
    def notes(self) -> tuple[str, ...]:
        """What was guessed, and what is odd about the frames read so far."""
        frozen = [
            f"camera {camera} shows one picture for {seconds:.1f} s while the robot moves: check its driver"
            for camera, seconds in self._frozen.items()
        ]
        return (*self._notes, *frozen)

    def __len__(self) -> int:
        return len(self.timeline)

    def __iter__(self) -> Iterator[Frame]:
        """Raises EmmaError if a message cannot be decoded, or joints are far beyond their limits."""
        index, aligner, spec, cameras = self._bag.index, self._aligner(), self._spec, FrozenCameras()
        positions = np.concatenate(list(self._positions.values()))
        stamps = np.concatenate(list(self._stamps_ns.values()))
        # Among equal stamps the one received earlier first, as it came.
        order = np.lexsort((positions, index.log_ns[positions], stamps))
        positions, stamps, due = positions[order], stamps[order], 0
        passed, released = np.cumsum(index.size[positions], dtype=np.int64), -RELEASE_BYTES
        for time_ns in self.timeline.times_ns:
            if due and passed[due - 1] - released >= RELEASE_BYTES:
                self._bag.release()
                released = int(passed[due - 1])
            ready = int(np.searchsorted(stamps, time_ns, side="right"))
            for position, stamp in zip(positions[due:ready], stamps[due:ready], strict=True):
                topic = self._bag.topic(int(index.topic[position])).name
                aligner.push(topic, self._bag.lazy(int(position)), int(stamp))
            due = ready
            observation = aligner.at(int(time_ns))
            action = aligner.command_at(int(time_ns))
            if action is None:
                raise EmmaError("no command yet", found=f"at {time_ns} ns", expected="a command before the first frame")
            check_plausible(observation.state, spec, spec.state_topic)
            check_plausible(action, spec, spec.command.topic)
            prints = {camera: zlib.crc32(np.ascontiguousarray(image)) for camera, image in observation.images.items()}
            for camera, seconds in cameras.update(prints, observation.state, observation.stamp_ns).items():
                if seconds >= FROZEN_S:
                    self._frozen[camera] = max(seconds, self._frozen.get(camera, 0.0))
            yield observation, action

    def _aligner(self) -> Aligner:
        return Aligner(self._spec, cameras=self._cameras, depth=self._depth)


def _late(line: Timeline, max_age_s: float) -> list[str]:
    """Streams that begin so late that the beginning of the recording is in no frame."""
    return [
        f"{stream} begins {late:.3f} s after the first stream: frames begin there"
        for stream, late in line.late_s.items()
        if late > max_age_s
    ]


def _pauses(line: Timeline) -> list[str]:
    """Action streams that were silent for much longer than usual, whatever the reason."""
    return [
        f"{stream} pauses for up to {longest:.3f} s, usually {usual:.3f} s: its last target stands there"
        for stream, (longest, usual) in line.pauses_s.items()
        if longest > max(PAUSE_S, 10 * usual)
    ]


def _check_types(bag: Bag, spec: RobotSpec, streams: Mapping[str, str]) -> None:
    """Raise EmmaError for topics of another type than `spec` names; images may be raw or compressed."""
    types = {topic: bag.topics[topic].type for topic in streams}
    pictures = {topic for topic, stream in streams.items() if stream.startswith(("images.", "depth."))}
    expected = spec.topics()
    named = {t: expected[t] if t in pictures and kind in TRANSPORTS.values() else kind for t, kind in types.items()}
    for mismatch in compare(of_robot(spec), Description(what=f"bag {bag.path.name}", types=named)).mismatches:
        topic = mismatch.what.removeprefix("type of ")
        key = "command.kind" if is_command(streams[topic]) else "the topic"
        raise EmmaError(
            f"{topic} has another type than robot {spec.name} names",
            found=mismatch.found,
            expected=" or ".join(TRANSPORTS.values()) if topic in pictures else mismatch.expected,
            fix=f"correct {key} in {spec.folder / 'robot.yaml'}",
        )


def interventions(meta: EpisodeMeta, times_ns: np.ndarray) -> list[list[int]]:
    """Frame ranges [first, end) in which a person had the robot, from the marks `intervention` and `policy`.

    An episode of kind `teleop` has none; one of kind `intervention` without marks is one range.
    """
    marks = sorted((mark for mark in meta.marks if mark.label in ("intervention", "policy")), key=lambda m: m.time_ns)
    if not marks:
        return [[0, len(times_ns)]] if meta.kind == "intervention" else []
    ranges: list[list[int]] = []
    for mark in marks:
        frame = int(np.searchsorted(times_ns, mark.time_ns))
        if mark.label == "intervention" and (not ranges or len(ranges[-1]) == 2):
            ranges.append([frame])
        elif mark.label == "policy" and ranges and len(ranges[-1]) == 1:
            ranges[-1].append(frame)
    if ranges and len(ranges[-1]) == 1:
        ranges[-1].append(len(times_ns))
    return [span for span in ranges if span[0] < span[1]]


def age_statistics(line: Timeline) -> dict[str, Any]:
    """What an episode's provenance says about time: per stream the mean and largest age, and the camera skew, in s."""
    return {
        "ages_s": {
            stream: {"mean": round(float(ages.mean()), 6), "max": round(float(ages.max()), 6)}
            for stream, ages in line.ages_s.items()
        },
        "skew_s": {"mean": round(float(line.skew_s.mean()), 6), "max": round(float(line.skew_s.max()), 6)},
    }
