"""MCAP records to a file at disk speed: a chunk is a list of the callers' buffers until it is written in one go.

The `mcap` library's writer copies every message three times in Python; for 640 x 480 images that is the limit of a
recorder. Layout after https://mcap.dev/spec; every record off
the hot path is built by the library. Schemas and channels stand outside the chunks, so that the loss of a chunk never
takes the type of other messages with it.
"""

import os
import struct
import time
import zlib
from collections.abc import Mapping
from pathlib import Path

import zstandard
from mcap.opcode import Opcode
from mcap.records import Channel, ChunkIndex, Header, Metadata, MetadataIndex, Schema

from emma.bags.append_file import AppendFile
from emma.bags.mcap_format import CHUNK_HEAD, INDEX_ENTRY, INDEX_HEAD, MAGIC, MESSAGE_HEAD, ending, record_bytes

# What a crash can cost at most: the chunk in memory. 4 MiB is 30 ms of three 640 x 480 RGB-D cameras.
CHUNK_BYTES = 4 << 20
# ... and for slow topics this long.
CHUNK_AGE_S = 0.25
# The first zstd level that beats none on camera noise; higher ones cost a core at 100 MB/s.
ZSTD_LEVEL = 1


class McapWriter:
    """One MCAP file with profile `ros2`. Not thread-safe.

    `write` only collects; a chunk goes to the file when it is full, when it is `chunk_age_s` old, or at `flush`.
    After an OSError the file ends with its last whole record: what was written stays readable by `repair`.
    """

    def __init__(
        self,
        path: Path,
        *,
        chunk_bytes: int = CHUNK_BYTES,
        chunk_age_s: float = CHUNK_AGE_S,
        compress: bool = False,
        checksum: bool = True,
        direct: bool = False,
        library: str = "emma",
    ) -> None:
        self.path = path
        self._chunk_bytes, self._chunk_age_s, self._checksum = chunk_bytes, chunk_age_s, checksum
        self._compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL) if compress else None
        self._file = AppendFile.create(path, direct=direct)
        self._begin()
        self._file.append([MAGIC, record_bytes(Header(profile="ros2", library=library))])

    @classmethod
    def resume(cls, path: Path, end: int) -> "McapWriter":
        """Go on in an existing file after its first `end` bytes, which must be whole records.

        What stands there now is written over, and cut off by `finish`. The caller tells what the first `end` bytes hold
        with `adopt_types` and `adopt`.
        """
        writer = cls.__new__(cls)
        writer.path = path
        writer._chunk_bytes, writer._chunk_age_s, writer._checksum = CHUNK_BYTES, CHUNK_AGE_S, True
        writer._compressor = None
        writer._file = AppendFile(os.open(path, os.O_WRONLY | os.O_CLOEXEC), end)
        writer._begin()
        return writer

    def _begin(self) -> None:
        self._schemas: dict[int, Schema] = {}
        self._channels: dict[int, Channel] = {}
        self._counts: dict[int, int] = {}
        # As they will stand in the summary: a fraction of the objects' memory, which grows with the file's length.
        self._chunks = bytearray()
        self._chunk_count = 0
        self._metadata: list[MetadataIndex] = []
        self._first_ns: int | None = None
        self._last_ns = 0
        self._clear()

    def _clear(self) -> None:
        self._buffers: list[bytes] = []
        self._entries: dict[int, list[bytes]] = {}
        self._size = 0
        self._opened = 0.0
        self._chunk_first_ns = 0
        self._chunk_last_ns = 0

    @property
    def size(self) -> int:
        """Bytes in the file so far, the open chunk not included."""
        return self._file.end

    @property
    def pending(self) -> int:
        """Bytes of the open chunk."""
        return self._size

    @property
    def counts(self) -> Mapping[int, int]:
        """Messages taken per channel id."""
        return self._counts

    @property
    def span_ns(self) -> tuple[int, int]:
        """First and last log time in the file; (0, 0) without messages."""
        return (self._first_ns or 0, self._last_ns)

    def fileno(self) -> int:
        """The file descriptor, for a second thread that syncs."""
        return self._file.fileno()

    def use_cache(self) -> None:
        """Write through the page cache from now on (see AppendFile)."""
        self._file.use_cache()

    def add_schema(self, name: str, encoding: str, text: str) -> int:
        """Write a schema record; returns its id."""
        schema = Schema(id=len(self._schemas) + 1, name=name, encoding=encoding, data=text.encode())
        self._file.append([record_bytes(schema)])
        self._schemas[schema.id] = schema
        return schema.id

    def add_channel(self, topic: str, schema_id: int, metadata: Mapping[str, str]) -> int:
        """Write a channel record for CDR messages; returns its id."""
        channel = Channel(
            id=len(self._channels) + 1,
            topic=topic,
            message_encoding="cdr",
            metadata=dict(metadata),
            schema_id=schema_id,
        )
        self._file.append([record_bytes(channel)])
        self._channels[channel.id] = channel
        self._counts[channel.id] = 0
        return channel.id

    def write(self, channel_id: int, log_time_ns: int, publish_time_ns: int, data: bytes, sequence: int = 0) -> None:
        """Take one message; `data` is kept, not copied, until its chunk is written. Raises OSError."""
        if not self._buffers:
            self._opened = time.monotonic()
            self._chunk_first_ns = self._chunk_last_ns = log_time_ns
        self._entries.setdefault(channel_id, []).append(INDEX_ENTRY.pack(log_time_ns, self._size))
        self._buffers.append(
            MESSAGE_HEAD.pack(Opcode.MESSAGE, 22 + len(data), channel_id, sequence, log_time_ns, publish_time_ns)
        )
        self._buffers.append(data)
        self._size += MESSAGE_HEAD.size + len(data)
        self._chunk_first_ns = min(self._chunk_first_ns, log_time_ns)
        self._chunk_last_ns = max(self._chunk_last_ns, log_time_ns)
        if self._size >= self._chunk_bytes or self.due():
            self.flush()

    def due(self) -> bool:
        """Whether the open chunk is old enough to be written."""
        return bool(self._buffers) and time.monotonic() - self._opened >= self._chunk_age_s

    def flush(self) -> None:
        """Write the open chunk and its message indexes in one go."""
        if not self._buffers:
            return
        buffers, size, compression = self._buffers, self._size, ""
        crc = 0
        if self._checksum:
            for buffer in buffers:
                crc = zlib.crc32(buffer, crc)
        if self._compressor is not None:
            buffers, compression = [self._compressor.compress(b"".join(buffers))], "zstd"
        stored = size if not compression else len(buffers[0])
        tag = compression.encode()
        head = CHUNK_HEAD.pack(
            Opcode.CHUNK, 40 + len(tag) + stored, self._chunk_first_ns, self._chunk_last_ns, size, crc
        )
        head += struct.pack("<I", len(tag)) + tag + struct.pack("<Q", stored)
        start, length = self._file.end, len(head) + stored
        index = ChunkIndex(
            chunk_length=length,
            chunk_start_offset=start,
            compression=compression,
            compressed_size=stored,
            message_end_time=self._chunk_last_ns,
            message_index_length=0,
            message_index_offsets={},
            message_start_time=self._chunk_first_ns,
            uncompressed_size=size,
        )
        tail = []
        for channel_id, entries in self._entries.items():
            index.message_index_offsets[channel_id] = start + length + index.message_index_length
            array = b"".join(entries)
            record = INDEX_HEAD.pack(Opcode.MESSAGE_INDEX, 6 + len(array), channel_id, len(array)) + array
            index.message_index_length += len(record)
            tail.append(record)
        counts = {channel_id: len(entries) for channel_id, entries in self._entries.items()}
        self._file.append([head, *buffers, *tail])
        self.adopt(index, counts)
        self._clear()

    def adopt(self, index: ChunkIndex, counts: Mapping[int, int]) -> None:
        """Count a chunk that is in the file: its place and how many messages per channel it holds."""
        self._chunks += record_bytes(index)
        self._chunk_count += 1
        self.adopt_messages(counts, (index.message_start_time, index.message_end_time))

    def adopt_messages(self, counts: Mapping[int, int], span_ns: tuple[int, int]) -> None:
        """Count messages that are in the file, with their first and last log time."""
        for channel_id, count in counts.items():
            self._counts[channel_id] = self._counts.get(channel_id, 0) + count
        if any(counts.values()):
            self._first_ns = span_ns[0] if self._first_ns is None else min(self._first_ns, span_ns[0])
            self._last_ns = max(self._last_ns, span_ns[1])

    def adopt_metadata(self, index: MetadataIndex) -> None:
        """Count a metadata record that is in the file."""
        self._metadata.append(index)

    def adopt_types(self, schemas: Mapping[int, Schema], channels: Mapping[int, Channel]) -> None:
        """Count schemas and channels that are in the file."""
        self._schemas.update(schemas)
        self._channels.update(channels)
        for channel_id in channels:
            self._counts.setdefault(channel_id, 0)

    def add_metadata(self, name: str, values: Mapping[str, str]) -> None:
        """Write a metadata record (rosbag2 keeps its metadata.yaml in one)."""
        self.flush()
        record = record_bytes(Metadata(name=name, metadata=dict(values)))
        index = MetadataIndex(offset=self._file.end, length=len(record), name=name)
        self._file.append([record])
        self._metadata.append(index)

    def finish(self) -> None:
        """Write what is pending, the summary and the footer; the file is complete and on disk after it."""
        self.flush()
        self._file.append(self._ending())
        self._file.cut()
        os.fdatasync(self._file.fileno())

    def close(self) -> None:
        """Close the file as it is. Without `finish` it is an unfinished file."""
        self._file.close()

    def _ending(self) -> list[bytes]:
        return ending(
            at=self._file.end,
            schemas=[*self._schemas.values()],
            channels=[*self._channels.values()],
            counts=self._counts,
            span_ns=self.span_ns,
            chunks=self._chunks,
            chunk_count=self._chunk_count,
            metadata=self._metadata,
        )
