"""What an MCAP file holds, read from front to back without trusting its end: the basis of reading and of repair.

Chunk bodies are skipped, so that a scan touches a few pages per chunk. Records of unknown opcodes are skipped, message
indexes and chunks are optional, and types are taken from inside chunks where nothing else has them
(https://mcap.dev/spec). Where the bytes stop being records, the chunk index of a whole summary gives the next place to
go on. Of a file without its end the last chunks are walked through: a power cut can leave them in place but empty.
"""

import mmap
import struct
import zlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import lz4.frame
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, ChunkIndex, DataEnd, Footer, Header, Metadata, MetadataIndex, Schema, Statistics

from emma.bags.append_file import BLOCK
from emma.bags.mcap_format import CHUNK_HEAD, INDEX_ENTRY, INDEX_HEAD, MAGIC, MESSAGE_HEAD, RECORD_HEAD
from emma.errors import EmmaError

# How much of the end is walked through message by message: more than any disk loses from its cache between two syncs.
CHECKED_BYTES = 256 << 20
# Pages of a bag stay in the page cache; after so much of it they stop counting as memory of this process.
RELEASE_BYTES = 64 << 20
# What parsing bytes that are no record may raise.
BROKEN = (McapError, ValueError, IndexError, OverflowError, struct.error, EOFError)
# Footer record and magic: where every finished file ends.
FOOTER_BYTES = RECORD_HEAD.size + 20 + len(MAGIC)


class RawMessage(NamedTuple):
    """One message record: data is a view into the chunk."""

    channel_id: int
    sequence: int
    log_time_ns: int
    publish_time_ns: int
    data: memoryview


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
class Summary:
    """The summary section of a finished file, if its CRC holds (or it has none)."""

    start: int = 0
    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    chunk_starts: list[int] = field(default_factory=list)
    statistics: Statistics | None = None

    def next_chunk(self, at: int) -> int | None:
        """Where the first chunk after `at` begins."""
        place = bisect_right(self.chunk_starts, at)
        return self.chunk_starts[place] if place < len(self.chunk_starts) else None


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


def scan(path: Path) -> McapScan:
    """Scan one file. Raises EmmaError if it is not an MCAP file."""
    size = path.stat().st_size
    found = McapScan(path=path, size=size)
    if size == 0:
        return found
    with path.open("rb") as file:
        # Not closed by hand: an error on the way may still hold a view of it.
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        _scan(memoryview(mapped), found, lambda: mapped.madvise(mmap.MADV_DONTNEED))
    return found


def _scan(view: memoryview, found: McapScan, release: Callable[[], None]) -> None:
    if bytes(view[: len(MAGIC)]) != MAGIC[: found.size]:
        raise EmmaError(
            f"{found.path} is not an MCAP file", found=bytes(view[:8]), expected=MAGIC, fix="it cannot be repaired"
        )
    summary = read_summary(view)
    at = len(MAGIC)
    while not _scan_records(view, found, at, release, summary):
        if summary is None or not summary.start:
            break
        # Bytes that are no record: go on with the next chunk that the summary knows.
        following = summary.next_chunk(found.end)
        found.gaps.append((found.end, following or summary.start))
        at = found.end = following or summary.start
        if following is None:
            found.finished = True
            break
    if summary is not None:
        found.types_differ = _differ(found.schemas, summary.schemas) or _differ(found.channels, summary.channels)
        found.schemas.update(summary.schemas)
        found.channels.update(summary.channels)
        found.statistics = summary.statistics
    if not found.finished:
        _save_torn(found, view)


def _differ(found: Mapping[int, Any], stated: Mapping[int, Any]) -> bool:
    return any(found[number] != record for number, record in stated.items() if number in found)


def _scan_records(
    view: memoryview, found: McapScan, start: int, release: Callable[[], None], summary: Summary | None
) -> bool:
    """Take the records from `start` on; whether they reach the end of the data section."""
    has_end = summary is not None
    chunk: _Chunk | None = None
    released = start
    for opcode, at, following in walk(view, start):
        if following - released >= RELEASE_BYTES:
            release()
            released = following
        if opcode == Opcode.MESSAGE_INDEX and chunk is None:
            continue
        if opcode != Opcode.MESSAGE_INDEX and chunk is not None:
            if not chunk.close(found, view, check=not has_end):
                return False
            chunk = None
        try:
            if opcode == Opcode.CHUNK:
                if summary is not None and following > (summary.next_chunk(at) or following):
                    return False
                chunk = _Chunk(view, at, following)
            elif opcode == Opcode.MESSAGE_INDEX and chunk is not None:
                chunk.add_index(view, at)
            elif opcode == Opcode.MESSAGE:
                _add_to_run(found, view, at, following)
            elif opcode in (Opcode.DATA_END, Opcode.FOOTER):
                if opcode == Opcode.DATA_END:
                    found.data_crc = DataEnd.read(_stream(view, at, following)).data_section_crc
                found.finished = has_end
                return True
            else:
                _keep(found, opcode, view, at, following)
        except BROKEN:
            return False
        if chunk is None:
            found.end = following
    if chunk is not None and (has_end or chunk.counts):
        chunk.close(found, view, check=not has_end)
    # Else the file was cut before the indexes of its last chunk: repair writes that chunk again, with them.
    return False


class _Chunk:
    """A chunk with the message indexes that follow it."""

    def __init__(self, view: memoryview, start: int, end: int) -> None:
        _, _, first, last, size, _ = CHUNK_HEAD.unpack_from(view, start)
        self.compression, self.records = chunk_body(view, start)
        self.end = end
        self.counts: dict[int, int] = {}
        self.index = ChunkIndex(
            chunk_length=end - start,
            chunk_start_offset=start,
            compression=self.compression,
            compressed_size=len(self.records),
            message_end_time=last,
            message_index_length=0,
            message_index_offsets={},
            message_start_time=first,
            uncompressed_size=size,
        )

    def add_index(self, view: memoryview, at: int) -> None:
        _, length, channel_id, array = INDEX_HEAD.unpack_from(view, at)
        self.index.message_index_offsets[channel_id] = at
        self.index.message_index_length += RECORD_HEAD.size + length
        self.counts[channel_id] = array // INDEX_ENTRY.size
        self.end = at + RECORD_HEAD.size + length

    def close(self, found: McapScan, view: memoryview, *, check: bool) -> bool:
        """Take the chunk if it is whole; near the end of a file that was not finished that is checked."""
        if not self.counts:
            # No message indexes: the only way to know is to look.
            data = plain(self.records, self.compression)
            self.counts = Counter(message.channel_id for message in messages(data))
            keep_types(found, data)
        elif check and self.end > found.size - CHECKED_BYTES:
            inside = messages(plain(self.records, self.compression))
            if Counter(message.channel_id for message in inside) != self.counts:
                return False
        if not self.counts.keys() <= found.channels.keys():
            keep_types(found, plain(self.records, self.compression))
        found.chunks.append(ChunkEntry(self.index, self.counts))
        found.end = self.end
        return True


def read_summary(view: memoryview) -> Summary | None:
    """The summary of a file that ends as MCAP files do; None if the end is missing or damaged."""
    try:
        if len(view) < len(MAGIC) + FOOTER_BYTES or bytes(view[-len(MAGIC) :]) != MAGIC:
            return None
        at = len(view) - FOOTER_BYTES
        if RECORD_HEAD.unpack_from(view, at) != (Opcode.FOOTER, 20):
            return None
        footer = Footer.read(_stream(view, at, len(view)))
        summary = Summary()
        if not footer.summary_start:
            return summary
        summary.start = footer.summary_start
        if not len(MAGIC) <= footer.summary_start <= at:
            return None
        # The CRC covers the summary and the footer up to the CRC itself.
        crc = zlib.crc32(view[footer.summary_start : len(view) - len(MAGIC) - 4])
        if footer.summary_crc and footer.summary_crc != crc:
            return None
        for opcode, start, end in walk(view[:at], footer.summary_start):
            stream = _stream(view, start, end)
            if opcode == Opcode.SCHEMA:
                schema = Schema.read(stream)
                summary.schemas[schema.id] = schema
            elif opcode == Opcode.CHANNEL:
                channel = Channel.read(stream)
                summary.channels[channel.id] = channel
            elif opcode == Opcode.CHUNK_INDEX:
                summary.chunk_starts.append(ChunkIndex.read(stream).chunk_start_offset)
            elif opcode == Opcode.STATISTICS:
                summary.statistics = Statistics.read(stream)
        summary.chunk_starts.sort()
        return summary
    except BROKEN:
        return None


def chunk_body(view: memoryview, start: int) -> tuple[str, memoryview]:
    """Compression and stored records of the chunk at `start`; the records end where the file ends, if it is cut."""
    at = start + CHUNK_HEAD.size
    tag = int.from_bytes(view[at : at + 4], "little")
    if tag > 16:
        raise ValueError("no chunk here")
    compression = bytes(view[at + 4 : at + 4 + tag]).decode()
    at += 4 + tag
    stored = int.from_bytes(view[at : at + 8], "little")
    return compression, view[at + 8 : at + 8 + stored]


def plain(records: memoryview, compression: str) -> memoryview:
    """The records of a chunk, decompressed as far as they can be."""
    return memoryview(_decompressed(records, compression)) if compression else records


def walk(data: memoryview, at: int = 0) -> Iterator[tuple[int, int, int]]:
    """Opcode, start and end of every whole record from `at` on, known or not; ends where the bytes are no record."""
    while at + RECORD_HEAD.size <= len(data):
        opcode, length = RECORD_HEAD.unpack_from(data, at)
        end = at + RECORD_HEAD.size + length
        if end > len(data) or not opcode:
            return
        yield opcode, at, end
        at = end


def messages(data: memoryview) -> Iterator[RawMessage]:
    """The whole messages of a chunk's decompressed records, which may be cut short anywhere."""
    for opcode, at, end in walk(data):
        if opcode == Opcode.MESSAGE and end - at >= MESSAGE_HEAD.size:
            _, _, channel_id, sequence, log_time, publish_time = MESSAGE_HEAD.unpack_from(data, at)
            yield RawMessage(channel_id, sequence, log_time, publish_time, data[at + MESSAGE_HEAD.size : end])


def _decompressed(records: memoryview, compression: str) -> bytes:
    """As much as a compressed chunk gives back."""
    if compression not in ("zstd", "lz4"):
        return b""
    decompressor = (
        zstandard.ZstdDecompressor().decompressobj() if compression == "zstd" else lz4.frame.LZ4FrameDecompressor()
    )
    parts = []
    try:
        for at in range(0, len(records), 1 << 16):
            parts.append(decompressor.decompress(bytes(records[at : at + (1 << 16)])))
    except (zstandard.ZstdError, RuntimeError, EOFError):
        pass  # cut or damaged here; what came before is whole
    return b"".join(parts)


def keep_types(found: McapScan, data: memoryview) -> None:
    """Schemas and channels may stand inside chunks; other writers put them there."""
    for opcode, at, end in walk(data):
        if opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
            try:
                _keep(found, opcode, data, at, end)
            except BROKEN:
                continue


def _stream(view: memoryview, at: int, end: int) -> ReadDataStream:
    return ReadDataStream(BytesIO(bytes(view[at + RECORD_HEAD.size : end])))


def _add_to_run(found: McapScan, view: memoryview, at: int, end: int) -> None:
    _, _, channel_id, _, log_ns, _ = MESSAGE_HEAD.unpack_from(view, at)
    if not found.runs or found.runs[-1].end != at:
        found.runs.append(Run(at, at))
    run = found.runs[-1]
    run.end = end
    run.counts[channel_id] += 1
    run.first_ns, run.last_ns = min(run.first_ns, log_ns), max(run.last_ns, log_ns)


def _keep(found: McapScan, opcode: int, data: memoryview, at: int, end: int) -> None:
    if opcode == Opcode.HEADER:
        Header.read(_stream(data, at, end))
        found.header = True
    elif opcode == Opcode.SCHEMA:
        schema = Schema.read(_stream(data, at, end))
        found.schemas[schema.id] = schema
    elif opcode == Opcode.CHANNEL:
        channel = Channel.read(_stream(data, at, end))
        found.channels[channel.id] = channel
    elif opcode == Opcode.METADATA:
        name = Metadata.read(_stream(data, at, end)).name
        found.metadata.append(MetadataIndex(offset=at, length=end - at, name=name))


def _save_torn(found: McapScan, view: memoryview) -> None:
    """Read what can be read of a chunk at the end of the whole records."""
    left = found.size - found.end
    if left and view[found.end] == Opcode.DATA_END:
        return  # everything is there but the index, which repair writes again
    if found.end + CHUNK_HEAD.size + 12 <= found.size and view[found.end] == Opcode.CHUNK:
        try:
            compression, records = chunk_body(view, found.end)
            data = plain(records, compression)
            keep_types(found, data)
        except BROKEN:
            data = view[:0]
        found.torn = [
            message._replace(data=memoryview(bytes(message.data)))
            for message in messages(data)
            if message.channel_id in found.channels
        ]
    if not found.torn and left < BLOCK and not any(view[found.end :]):
        return  # the last block of a file written directly, filled up with zeros
    found.cut_bytes = max(0, left - sum(MESSAGE_HEAD.size + len(message.data) for message in found.torn))


def verified(data: memoryview, size: int, crc: int) -> bool:
    """Whether decompressed chunk records are what their chunk states (CRC 0: the writer made none)."""
    return len(data) == size and (not crc or zlib.crc32(data) == crc)
