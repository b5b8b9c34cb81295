"""Unfinished bags made whole: what a killed recorder, a full disk or a power cut leaves behind.

Everything happens in place and in an order that a second interruption cannot make worse: whole records are never
touched, the last chunk is written again where it stands, then come index, footer, `metadata.yaml`, `episode.yaml`.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mcap.records import Channel
from rosbags.rosbag2.errors import ReaderError
from rosbags.rosbag2.metadata import parse_qos

from emma.bags.episode import EpisodeMeta, TopicMeta, is_episode
from emma.bags.files import SQLITE, find_bags
from emma.bags.mcap_scan import McapScan, scan
from emma.bags.mcap_writer import McapWriter
from emma.bags.message_definitions import definition
from emma.bags.metadata import METADATA_NAME, BagFile, BagTopic, bag_metadata
from emma.errors import EmmaError
from emma.files import atomic_write_text


@dataclass(frozen=True, kw_only=True)
class RepairReport:
    """What repair did to one bag. action: untouched, recovered, busy (a recorder holds it) or failed (`problem`)."""

    path: Path
    action: str
    messages: int = 0
    cut_bytes: int = 0
    duration_s: float = 0.0
    problem: str = ""

    def __str__(self) -> str:
        what = {
            "untouched": "whole, left alone",
            "busy": "being recorded, left alone",
            "failed": self.problem,
            "recovered": f"recovered {self.messages} messages, {self.duration_s:.1f} s, {self.cut_bytes} bytes cut off",
        }
        return f"{self.path.name}: {what[self.action]}"


@contextmanager
def episode_lock(folder: Path) -> Iterator[bool]:
    """Hold a bag folder against other processes; yields False if another one holds it. A killed process lets go."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        yield False
        return
    try:
        yield True
    finally:
        os.close(fd)


def repair_all(root: Path | str) -> list[RepairReport]:
    """Repair every bag below `root` that needs it; one that cannot be repaired does not stop the others."""
    reports = []
    for folder in find_bags(root):
        try:
            reports.append(repair(folder))
        except EmmaError as error:
            reports.append(RepairReport(path=folder, action="failed", problem=str(error)))
        except OSError as error:
            reports.append(RepairReport(path=folder, action="failed", problem=f"{error.strerror}: {error.filename}"))
    return reports


def repair(path: Path | str) -> RepairReport:
    """Finish one bag in place; one that is whole is not touched. Raises EmmaError or OSError if it cannot be."""
    path = Path(path)
    with episode_lock(path) as free:
        return _repair(path) if free else RepairReport(path=path, action="busy")


def repair_held(path: Path) -> RepairReport:
    """`repair` for the process that holds the folder's lock: the recorder itself after a write error."""
    return _repair(path)


def _repair(path: Path) -> RepairReport:
    meta = EpisodeMeta.load(path) if is_episode(path) else None
    files = sorted(path.glob("*.mcap"))
    if not files and meta is None and not any(path.glob(f"*{SQLITE}*")):
        raise EmmaError(f"{path} is not a bag", found="no .mcap file", expected="a rosbag2 folder with MCAP storage")
    if not files and meta is None:
        # sqlite3 mends itself when it is opened; what is missing beside it nobody needs here.
        return RepairReport(path=path, action="untouched")
    scans = [scan(file) for file in files]
    recording = meta is not None and meta.state == "recording"
    whole = all(found.finished for found in scans) and (path / METADATA_NAME).exists()
    if whole and not recording:
        return RepairReport(path=path, action="untouched")
    cut = 0
    for found in scans:
        if not found.finished:
            cut += found.cut_bytes
            _finish(found)
    scans = [scan(file) for file in files]
    topics = _topics(scans)
    spans = [_bag_file(found) for found in scans]
    if scans:
        atomic_write_text(path / METADATA_NAME, bag_metadata(spans, topics))
    count = sum(topic.count for topic in topics)
    used = [span for span in spans if span.count]
    duration = (max(s.last_ns for s in used) - min(s.first_ns for s in used)) / 1e9 if used else 0.0
    if meta is not None:
        _mark_recovered(path, meta, topics, duration, cut)
    return RepairReport(path=path, action="recovered", messages=count, cut_bytes=cut, duration_s=duration)


def _finish(found: McapScan) -> None:
    """Give an unfinished file its last messages, its index and its footer."""
    if not found.header:
        # Killed before the first record was on disk: there is nothing to keep.
        found.path.unlink()
        writer = McapWriter(found.path)
    else:
        writer = McapWriter.resume(found.path, found.end)
        writer.adopt_types(found.schemas, found.channels)
        for index, counts in found.chunks:
            writer.adopt(index, counts)
        for metadata in found.metadata:
            writer.adopt_metadata(metadata)
    try:
        for message in found.torn:
            writer.write(
                message.channel_id, message.log_time_ns, message.publish_time_ns, bytes(message.data), message.sequence
            )
        writer.finish()
    finally:
        writer.close()


def _bag_file(found: McapScan) -> BagFile:
    times = [(index.message_start_time, index.message_end_time) for index, _ in found.chunks]
    return BagFile(
        name=found.path.name,
        count=sum(found.counts.values()),
        first_ns=min((first for first, _ in times), default=0),
        last_ns=max((last for _, last in times), default=0),
    )


def _topics(scans: list[McapScan]) -> list[BagTopic]:
    topics: dict[str, BagTopic] = {}
    for found in scans:
        for channel_id, channel in found.channels.items():
            schema = found.schemas.get(channel.schema_id)
            known = topics.get(channel.topic)
            count = found.counts.get(channel_id, 0) + (known.count if known else 0)
            topics[channel.topic] = _bag_topic(channel, schema.name if schema else "", count)
    return list(topics.values())


def _bag_topic(channel: Channel, msgtype: str, count: int) -> BagTopic:
    described = definition(msgtype) if msgtype else None
    type_hash = channel.metadata.get("topic_type_hash") or (described.rihs01 if described else "")
    try:
        qos = parse_qos(channel.metadata.get("offered_qos_profiles", ""))
    except (ReaderError, KeyError, TypeError):
        qos = []
    return BagTopic(name=channel.topic, type=msgtype, count=count, qos=qos, type_hash=type_hash)


def _mark_recovered(path: Path, meta: EpisodeMeta, topics: list[BagTopic], duration: float, cut: int) -> None:
    dropped = {name: topic.dropped for name, topic in meta.topics.items()}
    count = sum(topic.count for topic in topics)
    note = f"recording ended without being saved; {count} messages recovered, {cut} bytes cut off"
    meta.with_(
        # What was thrown away on purpose stays thrown away.
        state="discarded" if meta.state == "discarded" else "recovered",
        duration_s=duration,
        topics={t.name: TopicMeta(type=t.type, count=t.count, dropped=dropped.get(t.name, 0)) for t in topics},
        problems=(*meta.problems, note),
    ).save(path)
