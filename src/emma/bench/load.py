"""The load a recorder must hold: which streams, how fast, and numbers in every message that show what is missing."""

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from emma.bags.mcap_records import chunk_body, messages, plain
from emma.bags.mcap_scan import scan
from emma.files import atomic_write_text
from emma.robots.spec import RobotSpec, load_robot

WIDTH, HEIGHT, CAMERA_HZ = 640, 480, 30.0
STATE_HZ, COMMAND_HZ = 200.0, 50.0
CAMERAS = ("left", "right", "wrist")
JOINTS = 7
# Different pictures per stream, sent in turn: a camera's noise never repeats, so an equal image means a frozen camera.
PICTURES = 4
# Every message of the load begins with a header: 4 bytes of CDR encapsulation, the stamp, and a frame id of ten digits,
# which is the message's number in its topic.
STAMP = struct.Struct("<iII")
STAMP_AT, NUMBER_AT, DIGITS = 4, 16, 10


@dataclass(frozen=True, kw_only=True)
class Load:
    """Three RGB-D cameras, joint states and commands. camera_hz, state_hz, command_hz: how fast they are sent."""

    camera_hz: float = CAMERA_HZ
    state_hz: float = STATE_HZ
    command_hz: float = COMMAND_HZ

    def scaled(self, factor: float) -> "Load":
        """The same streams, so many times as fast."""
        return Load(
            camera_hz=self.camera_hz * factor, state_hz=self.state_hz * factor, command_hz=self.command_hz * factor
        )

    @property
    def mb_per_s(self) -> float:
        """Pixels alone."""
        return len(CAMERAS) * WIDTH * HEIGHT * 5 * self.camera_hz / 1e6


def write_robot(folder: Path, load: Load) -> RobotSpec:
    """Write `<folder>/robot.yaml`, a robot with these streams, and load it."""
    cameras = [
        {
            "name": name,
            "image_topic": f"/load/{name}/color",
            "depth_topic": f"/load/{name}/depth",
            "width": WIDTH,
            "height": HEIGHT,
            "rate_hz": load.camera_hz,
        }
        for name in CAMERAS
    ]
    limits = {"unit": "rad", "lower": -3.0, "upper": 3.0, "velocity": 2.0, "acceleration": 9.0}
    values = {
        "name": "load",
        "joints": [{"name": f"j{i}", **limits} for i in range(JOINTS)],
        "cameras": cameras,
        "state_topic": "/load/joint_states",
        "state_rate_hz": load.state_hz,
        "command": {"topic": "/load/command", "kind": "joint_trajectory"},
        "control_rate_hz": COMMAND_HZ,
        "fps": 10,
        # Slow streams are old before the next message comes.
        "max_age_s": max(0.25, 1.5 / min(load.camera_hz, load.state_hz)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write_text(folder / "robot.yaml", yaml.safe_dump(values, sort_keys=False))
    return load_robot(folder)


def pictures(seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """PICTURES pairs of (480, 640, 3) uint8 and (480, 640) uint16 mm: smooth surfaces with a camera's noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    surface = np.stack([110 + 90 * np.sin(x / (60 + 9 * c) + y / 140 + seed) for c in range(3)], axis=-1)
    distance = 900 + 300 * np.sin(x / 200 + seed) + y / 2
    pairs = []
    for _ in range(PICTURES):
        color = surface + rng.normal(0, 2, surface.shape)
        depth = distance + rng.normal(0, 3, distance.shape)
        pairs.append((np.clip(color, 0, 255).astype(np.uint8), depth.astype(np.uint16)))
    return pairs


def stamped(stamp_ns: int, number: int, rest: bytes | memoryview, encapsulation: bytes) -> bytes:
    """A message of the load: `rest` is what follows the frame id in a template of the same type."""
    head = STAMP.pack(stamp_ns // 1_000_000_000, stamp_ns % 1_000_000_000, DIGITS + 1)
    return b"".join((encapsulation, head, b"%010d" % number, rest))


class Stamped(NamedTuple):
    """The number and the header stamp of a message of the load."""

    number: int
    stamp_ns: int


def read_stamped(data: bytes | memoryview) -> Stamped:
    """Number and stamp, without decoding the message."""
    seconds, nanoseconds, _ = STAMP.unpack_from(data, STAMP_AT)
    return Stamped(int(bytes(data[NUMBER_AT : NUMBER_AT + DIGITS])), seconds * 1_000_000_000 + nanoseconds)


@dataclass
class Tally:
    """Which numbers of one topic came. gaps: numbers missing between the first and the last."""

    count: int = 0
    first: int = -1
    last: int = -1
    gaps: int = 0
    last_stamp_ns: int = 0

    def add(self, message: Stamped) -> None:
        """Count one message."""
        if self.count == 0:
            self.first = message.number
        else:
            self.gaps += abs(message.number - self.last - 1)
        self.count, self.last, self.last_stamp_ns = self.count + 1, message.number, message.stamp_ns


@dataclass
class Tallies:
    """A Tally per topic."""

    topics: dict[str, Tally] = field(default_factory=dict)

    def add(self, topic: str, data: bytes | memoryview) -> None:
        """Count one message of `topic`."""
        self.topics.setdefault(topic, Tally()).add(read_stamped(data))

    def missing(self, sent: Mapping[str, int]) -> int:
        """How many of `sent` (topic -> messages, numbered from 0) did not come."""
        return sum(n - (self.topics[topic].count if topic in self.topics else 0) for topic, n in sent.items())

    def gaps(self) -> int:
        """Messages missing between first and last, of all topics."""
        return sum(tally.gaps for tally in self.topics.values())

    @property
    def last_stamp_ns(self) -> int:
        """The newest last stamp of all topics, 0 without messages."""
        return max((tally.last_stamp_ns for tally in self.topics.values()), default=0)


def tally_bag(folder: Path) -> Tallies:
    """Count the messages of the load in a finished bag, in the order of the file."""
    found = Tallies()
    for path in sorted(folder.glob("*.mcap")):
        contents = scan(path)
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        # Only the first bytes of every message are touched.
        mapped.madvise(mmap.MADV_RANDOM)
        for index, _ in contents.chunks:
            compression, records = chunk_body(memoryview(mapped), index.chunk_start_offset)
            for message in messages(plain(records, compression)):
                topic = contents.channels[message.channel_id].topic
                if topic.startswith("/load/"):
                    found.add(topic, message.data)
    return found
