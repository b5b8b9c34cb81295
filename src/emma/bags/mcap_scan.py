"""What an MCAP file holds, read from front to back without trusting its end: the basis of repair and of quick counts.

A recorder that is killed leaves whole records and then part of one. Chunk bodies are skipped, so that a scan touches a
few pages per chunk; only the last ones are walked through, since a power cut can leave them in place but empty.
"""

import mmap
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import lz4.frame
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, ChunkIndex, Header, Metadata, MetadataIndex, Schema

from emma.bags.append_file import BLOCK
from emma.bags.mcap_format import CHUNK_HEAD, INDEX_ENTRY, INDEX_HEAD, MAGIC, MESSAGE_HEAD, RECORD_HEAD
from emma.errors import EmmaError

# How much of the end is walked through message by message: more than any disk loses from its cache between two syncs.
CHECKED_BYTES = 256 << 20
# Pages of a bag stay in the page cache; after so much of it they stop counting as memory of this process.
RELEASE_BYTES = 64 << 20
# What parsing bytes that are no record may raise.
BROKEN = (McapError, ValueError, IndexError, OverflowError, struct.error)


class RawMessage(NamedTuple):
    """One message record: data is a view into the chunk."""

    channel_id: int
    sequence: int
    log_time_ns: int
    publish_time_ns: int
    data: memoryview


@dataclass
class McapScan:
    """The whole records at the start of a file.

    end: where they end; finished: the file has its footer; torn: the messages of the chunk that stands at `end`, if it
    could be read in part; cut_bytes: what of the file is neither whole nor saved in `torn`.
    """

    path: Path
    size: int
    header: bool = False
    finished: bool = False
    end: int = 0
    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    chunks: list[tuple[ChunkIndex, dict[int, int]]] = field(default_factory=list)
    metadata: list[MetadataIndex] = field(default_factory=list)
    torn: list[RawMessage] = field(default_factory=list)
    cut_bytes: int = 0

    @property
    def counts(self) -> dict[int, int]:
        """Messages per channel id, those of a torn chunk included."""
        counts = dict.fromkeys(self.channels, 0)
        for _, per_channel in self.chunks:
            for channel_id, count in per_channel.items():
                counts[channel_id] = counts.get(channel_id, 0) + count
        for message in self.torn:
            counts[message.channel_id] = counts.get(message.channel_id, 0) + 1
        return counts


def scan(path: Path) -> McapScan:
    """Scan one file. Raises EmmaError if it is not an MCAP file, or one without chunks."""
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
    chunk: _Chunk | None = None
    released = 0
    for opcode, at, following in walk(view, len(MAGIC)):
        if following - released >= RELEASE_BYTES:
            release()
            released = following
        if opcode != Opcode.MESSAGE_INDEX and chunk is not None:
            if not chunk.close(found, view):
                break
            chunk = None
        try:
            if opcode == Opcode.CHUNK:
                chunk = _Chunk(view, at, following)
            elif opcode == Opcode.MESSAGE_INDEX:
                if chunk is None:
                    break
                chunk.add_index(view, at)
            elif opcode == Opcode.MESSAGE:
                raise EmmaError(
                    f"{found.path} has messages outside of chunks",
                    found="an MCAP file written without chunks",
                    expected="chunks, as ros2 bag and emma write them",
                    fix=f"mcap recover {found.path}",
                )
            elif opcode == Opcode.DATA_END:
                found.finished = bytes(view[-len(MAGIC) :]) == MAGIC
                break
            else:
                _keep(found, opcode, view, at, following)
        except BROKEN:
            break
        if chunk is None:
            found.end = following
    if chunk is not None and not found.finished:
        chunk.close(found, view)
    if not found.finished:
        _save_torn(found, view)


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

    def close(self, found: McapScan, view: memoryview) -> bool:
        """Take the chunk if it is whole; near the end of a file that was not finished that is checked."""
        if self.end > found.size - CHECKED_BYTES and bytes(view[-len(MAGIC) :]) != MAGIC:
            inside = messages(plain(self.records, self.compression))
            if Counter(message.channel_id for message in inside) != self.counts:
                return False
        if not self.counts.keys() <= found.channels.keys():
            keep_types(found, plain(self.records, self.compression))
        found.chunks.append((self.index, self.counts))
        found.end = self.end
        return True


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
    """Opcode, start and end of every whole record from `at` on; ends where the bytes are no record."""
    while at + RECORD_HEAD.size <= len(data):
        opcode, length = RECORD_HEAD.unpack_from(data, at)
        end = at + RECORD_HEAD.size + length
        if end > len(data) or not 0 < opcode <= Opcode.DATA_END:
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
            _keep(found, opcode, data, at, end)


def _keep(found: McapScan, opcode: int, data: memoryview, at: int, end: int) -> None:
    stream = ReadDataStream(BytesIO(bytes(data[at + RECORD_HEAD.size : end])))
    if opcode == Opcode.HEADER:
        Header.read(stream)
        found.header = True
    elif opcode == Opcode.SCHEMA:
        schema = Schema.read(stream)
        found.schemas[schema.id] = schema
    elif opcode == Opcode.CHANNEL:
        channel = Channel.read(stream)
        found.channels[channel.id] = channel
    elif opcode == Opcode.METADATA:
        name = Metadata.read(stream).name
        found.metadata.append(MetadataIndex(offset=at, length=end - at, name=name))


def _save_torn(found: McapScan, view: memoryview) -> None:
    """Read what can be read of a chunk at the end of the whole records."""
    left = found.size - found.end
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
