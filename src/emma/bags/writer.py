"""A rosbag2 directory written from raw CDR messages, without ROS: `metadata.yaml` and one MCAP file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rosbags.interfaces import Qos

from emma.bags.mcap_writer import CHUNK_AGE_S, CHUNK_BYTES, McapWriter
from emma.bags.message_definitions import definition
from emma.bags.metadata import METADATA_NAME, BagFile, BagTopic, bag_metadata, dump_qos
from emma.errors import EmmaError
from emma.files import atomic_write_text


class BagWriter:
    """Writes messages as received into `<path>/<name>_0.mcap`. Opens in `ros2 bag`, Foxglove, `mcap` and `rosbags`.

    Not thread-safe. A context manager: leaving it on an exception closes the file unfinished, which `repair` mends.
    OSError from the disk passes through; what was written before stays whole.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        compress: bool = False,
        checksum: bool = True,
        chunk_bytes: int = CHUNK_BYTES,
        chunk_age_s: float = CHUNK_AGE_S,
        direct: bool = False,
    ) -> None:
        """Create the bag folder (it may exist, without a bag in it). direct: past the page cache, where that works."""
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self._file_name = f"{self.path.name}_0.mcap"
        try:
            self._mcap = McapWriter(
                self.path / self._file_name,
                compress=compress,
                checksum=checksum,
                chunk_bytes=chunk_bytes,
                chunk_age_s=chunk_age_s,
                direct=direct,
            )
        except FileExistsError:
            raise EmmaError(
                f"{self.path} already holds a bag",
                found=self._file_name,
                expected="a new folder",
                fix="choose a new name",
            ) from None
        self._schemas: dict[str, int] = {}
        self._topics: dict[str, tuple[int, BagTopic]] = {}
        self._open = True

    def add_topic(self, topic: str, msgtype: str, qos: Sequence[Qos] = ()) -> None:
        """Announce a topic before its first message. Again with the same type: nothing happens; another: EmmaError.

        A type whose definition is not installed is stored without one (`definition` says where it is looked for).
        """
        if topic in self._topics:
            known = self._topics[topic][1].type
            if known != msgtype:
                raise EmmaError(f"two types on {topic}", found=msgtype, expected=known, fix="record them apart")
            return
        described = definition(msgtype)
        if msgtype not in self._schemas:
            text, encoding = (described.text, "ros2msg") if described else ("", "")
            self._schemas[msgtype] = self._mcap.add_schema(msgtype, encoding, text)
        type_hash = described.rihs01 if described else ""
        channel = self._mcap.add_channel(
            topic, self._schemas[msgtype], {"offered_qos_profiles": dump_qos(qos), "topic_type_hash": type_hash}
        )
        self._topics[topic] = (channel, BagTopic(name=topic, type=msgtype, qos=tuple(qos), type_hash=type_hash))

    def write(self, topic: str, log_time_ns: int, publish_time_ns: int, data: bytes, sequence: int = 0) -> None:
        """Take one serialised message. log time: when it was received; publish time: when it was sent (ns).

        `data` must not change afterwards; it is written when its chunk is full, at most `chunk_age_s` later.
        """
        try:
            channel = self._topics[topic][0]
        except KeyError:
            raise EmmaError(
                f"{topic} was not announced", found=topic, expected=", ".join(self._topics) or "add_topic"
            ) from None
        self._mcap.write(channel, log_time_ns, publish_time_ns, data, sequence)

    def flush(self, *, only_due: bool = False) -> None:
        """Hand the open chunk to the kernel: after it a killed process loses nothing of what it took so far."""
        if not only_due or self._mcap.due():
            self._mcap.flush()

    def use_cache(self) -> None:
        """Write through the page cache from now on, whose memory takes what the disk cannot take at once."""
        self._mcap.use_cache()

    @property
    def counts(self) -> Mapping[str, int]:
        """Messages per topic that are in the file (the open chunk not included)."""
        return {topic: self._mcap.counts[channel] for topic, (channel, _) in self._topics.items()}

    @property
    def size(self) -> int:
        """Bytes of the MCAP file so far."""
        return self._mcap.size

    @property
    def span_ns(self) -> tuple[int, int]:
        """First and last log time in the file; (0, 0) without messages."""
        return self._mcap.span_ns

    @property
    def topics(self) -> frozenset[str]:
        """The topics announced so far."""
        return frozenset(self._topics)

    def fileno(self) -> int:
        """The MCAP file's descriptor, for syncing from another thread."""
        return self._mcap.fileno()

    def close(self) -> None:
        """Finish the MCAP file and write `metadata.yaml`. Idempotent."""
        if not self._open:
            return
        self._open = False
        try:
            self._mcap.flush()
            text = self._metadata()
            self._mcap.add_metadata("rosbag2", {"serialized_metadata": text})
            self._mcap.finish()
        finally:
            self._mcap.close()
        atomic_write_text(self.path / METADATA_NAME, text)

    def abort(self) -> None:
        """Close the file where it is, without index; `repair` turns it into a bag again."""
        self._open = False
        self._mcap.close()

    def _metadata(self) -> str:
        counts = self.counts
        topics = [
            BagTopic(name=t.name, type=t.type, count=counts[t.name], qos=t.qos, type_hash=t.type_hash)
            for _, t in self._topics.values()
        ]
        first, last = self._mcap.span_ns
        count = sum(counts.values())
        return bag_metadata([BagFile(name=self._file_name, count=count, first_ns=first, last_ns=last)], topics)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()
