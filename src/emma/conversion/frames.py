"""The frames of a recorded episode, through the same aligner as on the robot."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from emma.bags.episode import EpisodeMeta
from emma.bags.mcap_scan import RELEASE_BYTES
from emma.bags.reader import Bag
from emma.bags.timeline import Timeline, timeline
from emma.datasets.encode import Frame
from emma.errors import EmmaError
from emma.observation import COMMAND, Aligner
from emma.robots.spec import RobotSpec


class EpisodeFrames:
    """The (observation, action) pairs of a bag, 1 / fps apart. The bag stays open while it is used.

    `timeline` is known at once, from stamps; iterating decodes one frame at a time, whatever the length.
    """

    def __init__(self, bag: Bag, spec: RobotSpec, *, cameras: Iterable[str] | None = None, depth: bool = True) -> None:
        """Raises EmmaError if the bag lacks a topic or messages of it, or its clock was set back."""
        self._bag, self._spec, self._depth = bag, spec, depth
        self.notes: tuple[str, ...] = ()
        self._cameras = None if cameras is None else tuple(cameras)
        self._streams = _streams(self._aligner())
        missing = [topic for topic in self._streams if topic not in bag.topics]
        if missing:
            raise EmmaError(
                f"{bag.path.name} lacks {', '.join(missing)}",
                found=", ".join(bag.topics) or "no topics",
                expected=f"the topics of robot {spec.name}",
                fix="record with this robot, or convert with fewer cameras or without depth",
            )
        index = bag.index
        self._positions = {topic: index.of(bag.topics[topic].number) for topic in self._streams}
        self.timeline: Timeline = timeline(
            {stream: index.stamp_ns[self._positions[topic]] for topic, stream in self._streams.items()}, spec.fps
        )

    def __len__(self) -> int:
        return len(self.timeline)

    def __iter__(self) -> Iterator[Frame]:
        """Raises EmmaError if a message cannot be decoded."""
        index, aligner = self._bag.index, self._aligner()
        positions = np.concatenate(list(self._positions.values()))
        # Earlier file position first among equal stamps, as they came.
        positions = positions[np.lexsort((positions, index.stamp_ns[positions]))]
        stamps, due = index.stamp_ns[positions], 0
        passed, released = np.cumsum(index.size[positions], dtype=np.int64), -RELEASE_BYTES
        for time_ns in self.timeline.times_ns:
            if due and passed[due - 1] - released >= RELEASE_BYTES:
                self._bag.release()
                released = int(passed[due - 1])
            ready = int(np.searchsorted(stamps, time_ns, side="right"))
            for position in positions[due:ready]:
                topic = self._bag.topic(int(index.topic[position])).name
                aligner.push(topic, self._bag.lazy(int(position)), int(index.log_ns[position]))
            due = ready
            action = aligner.command_at(int(time_ns))
            if action is None:
                raise EmmaError("no command yet", found=f"at {time_ns} ns", expected="a command before the first frame")
            yield aligner.at(int(time_ns)), action

    def _aligner(self) -> Aligner:
        return Aligner(self._spec, cameras=self._cameras, depth=self._depth)


def _streams(aligner: Aligner) -> dict[str, str]:
    """Topic -> stream name of everything a frame needs, the command included."""
    streams = dict(zip(aligner.topics, aligner.needed, strict=False))
    streams.setdefault(aligner.spec.command.topic, COMMAND)
    return streams


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
