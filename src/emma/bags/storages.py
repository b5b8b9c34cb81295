"""The storages a bag may have: MCAP and sqlite3, each as an index of its messages and a way to load one of them."""

import mmap
import sqlite3
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple, Protocol

from mcap.opcode import Opcode
from rosbags.rosbag2 import Reader

from emma.bags.index import STAMP_BYTES, IndexBuilder, header_stamp_ns
from emma.bags.mcap_format import CHUNK_HEAD, MESSAGE_HEAD
from emma.bags.mcap_scan import RELEASE_BYTES, McapScan, chunk_body, plain, scan, walk
from emma.errors import EmmaError

# Frames are read in the order of time: the streams of one moment lie in neighbouring chunks.
CACHED_CHUNKS = 8


class Channel(NamedTuple):
    """One topic of one file: number in the file, name, type, text of the definition ("" if there is none), its kind."""

    id: int
    topic: str
    type: str
    definition: str
    encoding: str


class Source(Protocol):
    """One file of a bag."""

    channels: list[Channel]
    finished: bool

    def index(self, builder: IndexBuilder, file: int, topics: dict[int, tuple[int, bool]]) -> None:
        """Add the messages of the channels in `topics`: channel id -> (topic number, does it begin with a header)."""

    def load(self, chunk: int, offset: int, size: int) -> memoryview:
        """The bytes of one message."""

    def release(self) -> None:
        """Let go of memory that only holds what is on the disk."""

    def close(self) -> None:
        """Let go of the file."""


class McapSource:
    """An MCAP file, finished or not."""

    def __init__(self, path: Path) -> None:
        self._scan: McapScan = scan(path)
        self.finished = self._scan.finished
        self.channels = []
        for channel in self._scan.channels.values():
            schema = self._scan.schemas.get(channel.schema_id)
            text = schema.data.decode(errors="replace") if schema else ""
            self.channels.append(
                Channel(
                    channel.id, channel.topic, schema.name if schema else "", text, schema.encoding if schema else ""
                )
            )
        self._view, self._map = memoryview(b""), None
        if self._scan.size:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._view = memoryview(self._map)
        self._starts = [index.chunk_start_offset for index, _ in self._scan.chunks]
        if self._scan.torn:
            self._starts.append(self._scan.end)
        self._cache: OrderedDict[int, memoryview] = OrderedDict()

    def index(self, builder: IndexBuilder, file: int, topics: dict[int, tuple[int, bool]]) -> None:
        head, released = MESSAGE_HEAD.size, 0
        for number, start in enumerate(self._starts):
            if start - released >= RELEASE_BYTES:
                self.release()
                released = start
            compression, records = chunk_body(self._view, start)
            data = plain(records, compression)
            # Offset of the records in the file, for those that need no decompression.
            base = 0 if compression else self._records_offset(start)
            for opcode, at, end in walk(data):
                if opcode != Opcode.MESSAGE or end - at < head:
                    continue
                _, _, channel, _, log_ns, _ = MESSAGE_HEAD.unpack_from(data, at)
                if channel not in topics:
                    continue
                topic, has_header = topics[channel]
                stamp = header_stamp_ns(data[at + head : end][:STAMP_BYTES]) if has_header else None
                builder.add(
                    topic,
                    log_ns,
                    log_ns if stamp is None else stamp,
                    end - at - head,
                    file,
                    number if compression else -1,
                    base + at + head,
                )

    def load(self, chunk: int, offset: int, size: int) -> memoryview:
        if chunk < 0:
            return self._view[offset : offset + size]
        if chunk not in self._cache:
            compression, records = chunk_body(self._view, self._starts[chunk])
            self._cache[chunk] = plain(records, compression)
            if len(self._cache) > CACHED_CHUNKS:
                self._cache.popitem(last=False)
        self._cache.move_to_end(chunk)
        return self._cache[chunk][offset : offset + size]

    def release(self) -> None:
        if self._map is not None:
            # The pages stay in the page cache; they just no longer count as this process's memory.
            self._map.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        self._cache.clear()
        self._view, self._map = memoryview(b""), None

    def _records_offset(self, start: int) -> int:
        tag = int.from_bytes(self._view[start + CHUNK_HEAD.size : start + CHUNK_HEAD.size + 4], "little")
        return start + CHUNK_HEAD.size + 4 + tag + 8


class SqliteSource:
    """A rosbag2 sqlite3 file; topics and definitions come from `rosbags`, which knows all its versions."""

    finished = True

    def __init__(self, path: Path) -> None:
        try:
            with Reader(path) as reader:
                self.channels = [
                    Channel(c.id, c.topic, c.msgtype, c.msgdef.data, c.msgdef.format.name.lower())
                    for c in reader.connections
                ]
        except Exception as error:  # the driver below rosbags has error types of its own
            raise EmmaError(
                f"{path} is not a readable sqlite3 bag",
                found=f"{type(error).__name__}: {error}",
                expected="a rosbag2 file",
            ) from None
        self._path = path
        self._connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)

    def index(self, builder: IndexBuilder, file: int, topics: dict[int, tuple[int, bool]]) -> None:
        rows = self._connection.execute(
            f"SELECT id, topic_id, timestamp, length(data), substr(data, 1, {STAMP_BYTES}) FROM messages ORDER BY id"
        )
        for row, channel, log_ns, size, start in rows:
            if channel in topics:
                topic, has_header = topics[channel]
                stamp = header_stamp_ns(start) if has_header else None
                builder.add(topic, log_ns, log_ns if stamp is None else stamp, size, file, -1, row)

    def load(self, chunk: int, offset: int, size: int) -> memoryview:
        [(data,)] = self._connection.execute("SELECT data FROM messages WHERE id = ?", (offset,))
        return memoryview(data)

    def release(self) -> None:
        return None

    def close(self) -> None:
        self._connection.close()
