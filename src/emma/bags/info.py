"""What is in a bag, in numbers: per topic how much, how fast, how regular, how late. Nothing is decoded."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emma.bags.episode import EPISODE_NAME, EpisodeMeta, is_episode
from emma.bags.files import find_bags
from emma.bags.reader import Bag
from emma.bags.timeline import latest
from emma.errors import EmmaError
from emma.robots.spec import RobotSpec

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
# An interval this many times the usual one is a gap: at least one message is missing.
GAP_FACTOR = 1.8
# How finely the skew between cameras is sampled.
SKEW_STEP_NS = 20_000_000


@dataclass(frozen=True, kw_only=True)
class TopicInfo:
    """One topic. Times from header stamps where there are any, else from the time of receipt.

    rate_hz: by the usual interval, without gaps; gaps: intervals at least 1.8 times as long; longest_s: the longest;
    delay_s: median time from stamp to receipt (0 without stamps); backwards: stamps older than the one before.
    """

    name: str
    type: str
    count: int
    bytes: int
    rate_hz: float
    gaps: int
    longest_s: float
    delay_s: float
    backwards: int
    dropped: int = 0


@dataclass(frozen=True, kw_only=True)
class BagInfo:
    """One bag. skew_s: (median, largest) spread of the latest images of all cameras; meta: None for a foreign bag.

    damage: what should be there and is not; notes: what was guessed, or cannot be checked.
    """

    path: Path
    bytes: int
    finished: bool
    start_ns: int
    duration_s: float
    topics: tuple[TopicInfo, ...]
    skew_s: tuple[float, float]
    meta: EpisodeMeta | None
    damage: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return sum(topic.count for topic in self.topics)


@dataclass(frozen=True, kw_only=True)
class EpisodeEntry:
    """One line of a list: the bag's folder, its size, what its `episode.yaml` says, or what is wrong with that file."""

    path: Path
    bytes: int
    meta: EpisodeMeta | None
    problem: str = ""


def list_episodes(root: Path | str) -> list[EpisodeEntry]:
    """The episodes and bags at or below `root`; the bags are not opened. Raises EmmaError if there is no folder."""
    entries = []
    for folder in find_bags(root):
        size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
        try:
            meta = EpisodeMeta.load(folder) if is_episode(folder) else None
            entries.append(EpisodeEntry(path=folder, bytes=size, meta=meta))
        except EmmaError as error:
            entries.append(EpisodeEntry(path=folder, bytes=size, meta=None, problem=f"{EPISODE_NAME}: {error.problem}"))
    return entries


def topic_rates(spec: RobotSpec) -> dict[str, float]:
    """The rates in Hz that a robot's description promises, by topic."""
    rates = {state.topic: state.rate_hz or spec.state_rate_hz for state in spec.state_topics}
    rates |= {group.recorded_topic: group.rate_hz or spec.control_rate_hz for group in spec.command_groups}
    for camera in spec.cameras:
        rates |= {t: camera.rate_hz for t in (camera.image_topic, camera.info_topic, camera.depth_topic) if t}
    return rates


def bag_info(path: Path | str) -> BagInfo:
    """Count and time everything in one bag, whoever recorded it. Raises EmmaError if it is not a bag."""
    with Bag(path) as bag:
        folder = bag.path if bag.path.is_dir() else bag.path.parent
        meta = EpisodeMeta.load(folder) if is_episode(folder) else None
        index = bag.index
        topics = []
        for topic in bag.topics.values():
            at = index.of(topic.number)
            dropped = meta.topics[topic.name].dropped if meta and topic.name in meta.topics else 0
            stamps, logs = index.stamp_ns[at], index.log_ns[at]
            topics.append(_topic_info(topic.name, topic.type, stamps, logs, int(index.size[at].sum()), dropped))
        images = [
            np.sort(index.stamp_ns[index.of(t.number)])
            for t in bag.topics.values()
            if t.type in IMAGE_TYPES and len(index.of(t.number))
        ]
        log_ns = index.log_ns
        return BagInfo(
            path=bag.path,
            bytes=bag.size,
            finished=bag.finished,
            start_ns=int(log_ns.min()) if len(log_ns) else 0,
            duration_s=float(np.ptp(log_ns)) / 1e9 if len(log_ns) else 0.0,
            topics=tuple(topics),
            skew_s=_skew(images),
            meta=meta,
            damage=bag.damage,
            notes=bag.notes,
        )


def _topic_info(name: str, msgtype: str, stamps: np.ndarray, logs: np.ndarray, size: int, dropped: int) -> TopicInfo:
    steps = np.diff(stamps)
    forward = steps[steps > 0]
    usual = float(np.median(forward)) if len(forward) else 0.0
    return TopicInfo(
        name=name,
        type=msgtype,
        count=len(stamps),
        bytes=size,
        rate_hz=1e9 / usual if usual else 0.0,
        gaps=int((forward > GAP_FACTOR * usual).sum()),
        longest_s=float(forward.max()) / 1e9 if len(forward) else 0.0,
        delay_s=float(np.median(logs - stamps)) / 1e9 if len(stamps) else 0.0,
        backwards=int((steps < 0).sum()),
        dropped=dropped,
    )


def _skew(cameras: list[np.ndarray]) -> tuple[float, float]:
    """Median and largest spread of the latest images while all cameras run, in s."""
    if len(cameras) < 2:
        return 0.0, 0.0
    start, end = max(c[0] for c in cameras), min(c[-1] for c in cameras)
    if end < start:
        return 0.0, 0.0
    times = np.arange(start, end + 1, SKEW_STEP_NS)
    seen = np.stack([stamps[latest(stamps, times)] for stamps in cameras])
    spread = np.ptp(seen, axis=0) / 1e9
    return float(np.median(spread)), float(spread.max())
