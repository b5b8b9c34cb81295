"""What a scan of an MCAP file has found: its types, and where its chunks, messages and metadata stand."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mcap.opcode import Opcode
from mcap.records import Channel, ChunkIndex, Header, Metadata, MetadataIndex, Schema, Statistics

from emma.bags.mcap_format import MESSAGE_HEAD
from emma.bags.mcap_records import BROKEN, RawMessage, stream, walk


class ChunkEntry(NamedTuple):
    """A chunk and its messages per channel id."""

    place: ChunkIndex
    counts: dict[int, int]


@dataclass
class Run:
    """Message records that stand outside of chunks, from `start` to `end` in the file; times in ns."""

    start: int
    end: int
    counts: Counter[int] = field(default_factory=Counter)
    first_ns: int = 1 << 64
    last_ns: int = 0


@dataclass
class McapScan:
    """The whole records of a file.

    end: where the data section ends; finished: data section, summary and footer are whole; torn: the messages of the
    chunk that stands at `end`, if it could be read in part; cut_bytes: what of the file is neither whole nor saved in
    `torn`; gaps: (start, end) of bytes in the middle that are no records; data_crc: of the data section, 0 if unknown;
    statistics: message counts that the summary states; types_differ: the summary has other types than the data section.
    """

    path: Path
    size: int
    header: bool = False
    finished: bool = False
    end: int = 0
    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    chunks: list[ChunkEntry] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    metadata: list[MetadataIndex] = field(default_factory=list)
    torn: list[RawMessage] = field(default_factory=list)
    cut_bytes: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)
    data_crc: int = 0
    statistics: Statistics | None = None
    types_differ: bool = False

    @property
    def counts(self) -> dict[int, int]:
        """Messages per channel id, those of a torn chunk included."""
        counts = Counter(dict.fromkeys(self.channels, 0))
        for chunk in self.chunks:
            counts.update(chunk.counts)
        for run in self.runs:
            counts.update(run.counts)
        counts.update(message.channel_id for message in self.torn)
        return dict(counts)

    @property
    def spans_ns(self) -> list[tuple[int, int]]:
        """First and last log time of every chunk and run with messages."""
        chunks = [(c.place.message_start_time, c.place.message_end_time) for c in self.chunks if any(c.counts.values())]
        return chunks + [(run.first_ns, run.last_ns) for run in self.runs]


def keep(found: McapScan, opcode: int, data: memoryview, at: int, end: int) -> None:
    """Take one record that is neither a message nor a chunk."""
    if opcode == Opcode.HEADER:
        Header.read(stream(data, at, end))
        found.header = True
    elif opcode == Opcode.SCHEMA:
        schema = Schema.read(stream(data, at, end))
        found.schemas[schema.id] = schema
    elif opcode == Opcode.CHANNEL:
        channel = Channel.read(stream(data, at, end))
        found.channels[channel.id] = channel
    elif opcode == Opcode.METADATA:
        name = Metadata.read(stream(data, at, end)).name
        found.metadata.append(MetadataIndex(offset=at, length=end - at, name=name))


def keep_types(found: McapScan, data: memoryview) -> None:
    """Schemas and channels may stand inside chunks; other writers put them there."""
    for opcode, at, end in walk(data):
        if opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
            try:
                keep(found, opcode, data, at, end)
            except BROKEN:
                continue


def add_to_run(found: McapScan, view: memoryview, at: int, end: int) -> None:
    """Take one message outside of chunks."""
    _, _, channel_id, _, log_ns, _ = MESSAGE_HEAD.unpack_from(view, at)
    if not found.runs or found.runs[-1].end != at:
        found.runs.append(Run(at, at))
    run = found.runs[-1]
    run.end = end
    run.counts[channel_id] += 1
    run.first_ns, run.last_ns = min(run.first_ns, log_ns), max(run.last_ns, log_ns)
