"""Unfinished bags made whole: what a killed recorder, a full disk or a power cut leaves behind.

The work is done on a copy beside the file. Only when the copy holds every message that could be read does it take the
file's name, and the file itself stays beside it as `<name>.original`. A file that another process has open for writing,
or that changes, is left alone.
"""

import fcntl
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mcap.records import Channel
from rosbags.rosbag2.errors import ReaderError
from rosbags.rosbag2.metadata import parse_qos

from emma.bags.clone import clone
from emma.bags.episode import EpisodeMeta, TopicMeta, is_episode
from emma.bags.file_users import SETTLE_S, still, writers_of
from emma.bags.files import MCAP, find_bags, metadata_problem, storage_files
from emma.bags.mcap_contents import McapScan
from emma.bags.mcap_scan import scan
from emma.bags.mcap_writer import McapWriter
from emma.bags.message_definitions import definition
from emma.bags.metadata import METADATA_NAME, BagFile, BagTopic, bag_metadata
from emma.errors import EmmaError
from emma.files import atomic_write_text, fsync_dir

ORIGINAL = ".original"


@dataclass(frozen=True, kw_only=True)
class RepairReport:
    """What repair did to one bag.

    action: untouched, recovered, busy (something writes it), damaged (whole at its end, `problem` in the middle) or
    failed (`problem`). originals: the files as they were, kept beside the repaired ones.
    """

    path: Path
    action: str
    messages: int = 0
    cut_bytes: int = 0
    duration_s: float = 0.0
    problem: str = ""
    originals: tuple[Path, ...] = ()

    def __str__(self) -> str:
        kept = f"; before: {', '.join(path.name for path in self.originals)}" if self.originals else ""
        what = {
            "untouched": "whole, left alone",
            "busy": f"left alone: {self.problem or 'being recorded'}",
            "damaged": f"left alone, repair cannot help: {self.problem}",
            "failed": self.problem,
            "recovered": f"recovered {self.messages} messages, {self.duration_s:.1f} s, {self.cut_bytes} bytes cut off",
        }
        return f"{self.path.name}: {what[self.action]}{kept}"


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


def repair_all(
    root: Path | str, *, settle_s: float = SETTLE_S, on_copy: Callable[[str], None] | None = None
) -> list[RepairReport]:
    """Repair every bag below `root` that needs it; one that cannot be repaired does not stop the others."""
    reports = []
    for folder in find_bags(root):
        try:
            reports.append(repair(folder, settle_s=settle_s, on_copy=on_copy))
        except EmmaError as error:
            reports.append(RepairReport(path=folder, action="failed", problem=str(error)))
        except OSError as error:
            reports.append(RepairReport(path=folder, action="failed", problem=f"{error.strerror}: {error.filename}"))
    return reports


def repair(
    path: Path | str, *, settle_s: float = SETTLE_S, on_copy: Callable[[str], None] | None = None
) -> RepairReport:
    """Finish one bag; one that is whole is not touched. Raises EmmaError or OSError if it cannot be.

    settle_s: how long the files of another recorder must not have changed; a fresher one is watched until then.
    on_copy: receives a line before a file is copied, which may take a minute.
    """
    path = Path(path)
    with episode_lock(path) as free:
        if not free:
            return RepairReport(path=path, action="busy")
        return _Repair(path, settle_s, on_copy).run()


def repair_held(path: Path) -> RepairReport:
    """`repair` in place, for the process that holds the folder's lock: the recorder itself, whose disk may be full."""
    return _Repair(path, 0.0, None, in_place=True).run()


def discard_originals(root: Path | str) -> list[Path]:
    """Delete what repair kept of the bags below `root`, where the repaired file is whole; returns the files."""
    discarded = []
    for folder in find_bags(root):
        for original in sorted(folder.glob(f"*{ORIGINAL}*")):
            repaired = original.with_name(original.name.partition(ORIGINAL)[0])
            if repaired.is_file() and (repaired.suffix != MCAP or scan(repaired).finished):
                original.unlink()
                discarded.append(original)
    return discarded


class _Repair:
    """The repair of one folder whose lock is held."""

    def __init__(
        self, path: Path, settle_s: float, on_copy: Callable[[str], None] | None, *, in_place: bool = False
    ) -> None:
        self._path, self._settle_s, self._on_copy, self._in_place = path, settle_s, on_copy, in_place
        self._originals: list[Path] = []

    def run(self) -> RepairReport:
        path = self._path
        meta = EpisodeMeta.load(path) if is_episode(path) else None
        stored = storage_files(path)
        files = [file for file in stored if file.suffix == MCAP]
        if not stored and meta is None:
            raise EmmaError(
                f"{path} is not a bag", found="no .mcap file", expected="a rosbag2 folder with MCAP storage"
            )
        if not files and (meta is None or stored):
            # sqlite3 recovers by itself when it is opened, and compressed files have their end or not.
            return self._report("untouched")
        recording = meta is not None and meta.state == "recording"
        scans = [scan(file) for file in files]
        torn = [found for found in scans if not found.finished]
        # What compressed files hold is not known here, and a metadata.yaml without them would hide them from readers.
        mixed = len(files) < len(stored)
        if not torn and not recording and (mixed or not metadata_problem(path)):
            gaps = [f"{found.path.name}: {b - a} bytes at {a} are no records" for found in scans for a, b in found.gaps]
            return self._report("damaged", problem="; ".join(gaps)) if gaps else self._report("untouched")
        if not self._in_place and (problem := self._in_use(files, [] if recording else [f.path for f in torn])):
            return self._report("busy", problem=problem)
        cut = sum(found.cut_bytes for found in torn)
        for found in torn:
            self._finish(found)
        scans = [scan(file) for file in files]
        topics = _topics(scans)
        spans = [_bag_file(found) for found in scans]
        if scans and not mixed:
            self._write_metadata(bag_metadata(spans, topics))
        count = sum(topic.count for topic in topics)
        used = [span for span in spans if span.count]
        duration = (max(s.last_ns for s in used) - min(s.first_ns for s in used)) / 1e9 if used else 0.0
        if meta is not None:
            _mark_recovered(path, meta, topics, duration, cut)
        return self._report("recovered", messages=count, cut_bytes=cut, duration_s=duration)

    def _report(self, action: str, **values: object) -> RepairReport:
        return RepairReport(path=self._path, action=action, originals=tuple(self._originals), **values)  # type: ignore[arg-type]

    def _in_use(self, files: list[Path], torn: list[Path]) -> str:
        """What writes the files, "" if nothing does. A living emma recorder would hold the folder's lock."""
        if writers := writers_of(files):
            return f"still written by {', '.join(writers)}; stop it, then repair"
        if not still(torn, self._settle_s):
            return "still growing; stop its recorder, then repair"
        return ""

    def _finish(self, found: McapScan) -> None:
        """Give an unfinished file its last messages, its index and its footer."""
        if self._in_place:
            _complete(found, found.path)
            return
        path, before = found.path, _state(found.path)
        for left in path.parent.glob(f".{_literal(path.name)}.*.part"):
            left.unlink()
        copy = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
        if self._on_copy is not None:
            self._on_copy(f"{path}: repairing a copy of {found.size / 1e6:.1f} MB")
        try:
            clone(path, copy)
            _complete(found, copy)
            repaired = scan(copy)
            if not repaired.finished or _by_topic(repaired) != _by_topic(found):
                raise EmmaError(
                    f"the repaired copy of {path.name} is not whole, the file is as it was",
                    found=f"{sum(repaired.counts.values())} messages",
                    expected=f"{sum(found.counts.values())} messages",
                )
            if _state(path) != before or writers_of([path]):
                raise EmmaError(
                    f"{path.name} changed while it was repaired, it is as its writer left it",
                    found="a process that writes it",
                    expected="a file that nothing writes",
                    fix="stop the recorder, then repair",
                )
            self._keep(path)
            os.replace(copy, path)
            fsync_dir(path.parent)
        finally:
            copy.unlink(missing_ok=True)

    def _write_metadata(self, text: str) -> None:
        path = self._path / METADATA_NAME
        if path.exists() and not self._in_place and path.read_bytes() != text.encode():
            self._keep(path)
        atomic_write_text(path, text)

    def _keep(self, path: Path) -> None:
        """Give the file a second name, under which it stays."""
        number, kept = 1, path.with_name(f"{path.name}{ORIGINAL}")
        while kept.exists():
            number += 1
            kept = path.with_name(f"{path.name}{ORIGINAL}{number}")
        try:
            os.link(path, kept)
        except OSError:
            # A file system without hard links; for a moment the file has only its other name.
            os.rename(path, kept)
        self._originals.append(kept)


def _state(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _literal(name: str) -> str:
    """A name as a pattern that matches nothing else."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _by_topic(found: McapScan) -> dict[int, int]:
    return {channel: count for channel, count in found.counts.items() if count}


def _complete(found: McapScan, path: Path) -> None:
    """Write what `found` lacks to `path`, which holds the same bytes."""
    if not found.header:
        # Killed before the first record was on disk: there is nothing to keep.
        path.unlink()
        writer = McapWriter(path)
    else:
        writer = McapWriter.resume(path, found.end)
        writer.adopt_types(found.schemas, found.channels)
        for index, counts in found.chunks:
            writer.adopt(index, counts)
        for run in found.runs:
            writer.adopt_messages(run.counts, (run.first_ns, run.last_ns))
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
    times = found.spans_ns
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
