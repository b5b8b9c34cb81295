"""The storages a bag may have: MCAP and sqlite3, each as an index of its messages and a way to load one of them."""

import mmap
import sqlite3
import zlib
from collections import Counter, OrderedDict
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Protocol

from mcap.opcode import Opcode

from emma.bags.clone import clone
from emma.bags.index import STAMP_BYTES, IndexBuilder, header_stamp_ns
from emma.bags.mcap_contents import McapScan
from emma.bags.mcap_format import CHUNK_HEAD, MESSAGE_HEAD
from emma.bags.mcap_records import RELEASE_BYTES, chunk_body, plain, walk
from emma.bags.mcap_scan import scan
from emma.bags.packing import is_packed, unpack
from emma.errors import EmmaError

# Frames are read in the order of time: the streams of one moment lie in neighbouring chunks.
CACHED_CHUNKS = 8
# What sqlite keeps beside a database that was not closed.
SQLITE_SIDES = ("-wal", "-journal")
LAST_NS = (1 << 63) - 1

# Channel id -> (number of the topic, whether its messages begin with a header).
Wanted = dict[int, tuple[int, bool]]


class Channel(NamedTuple):
    """One topic of one file: number in the file, name, type, text of the definition ("" if there is none), its kind.

    serialization: how messages are encoded, `cdr` in ROS 2.
    """

    id: int
    topic: str
    type: str
    definition: str
    encoding: str
    serialization: str = "cdr"


class Source(Protocol):
    """One file of a bag.

    damage: what could not be read and should have been, known in full after `index`; notes: what a reader should know.
    counts: messages by topic that the file itself states, None if it states nothing.
    """

    channels: list[Channel]
    finished: bool
    damage: list[str]
    notes: list[str]
    counts: dict[str, int] | None

    def index(self, builder: IndexBuilder, file: int, topics: Wanted) -> None:
        """Add the messages of the channels in `topics`, every chunk checked."""

    def load(self, chunk: int, offset: int, size: int) -> memoryview:
        """The bytes of one message."""

    def release(self) -> None:
        """Let go of memory that only holds what is on the disk."""

    def close(self) -> None:
        """Let go of the file."""


class McapSource:
    """An MCAP file, finished or not, with chunks or without."""

    def __init__(self, path: Path) -> None:
        self._scan: McapScan = scan(path)
        self.finished = self._scan.finished
        self.damage = [f"{path.name}: {end - start} bytes at {start} are no records" for start, end in self._scan.gaps]
        self.notes: list[str] = []
        if self._scan.types_differ:
            self.notes.append(f"{path.name}: type records are damaged; those of the summary are used")
        self.channels = []
        for channel in self._scan.channels.values():
            schema = self._scan.schemas.get(channel.schema_id)
            text = schema.data.decode(errors="replace") if schema else ""
            name, encoding = (schema.name, schema.encoding) if schema else ("", "")
            self.channels.append(Channel(channel.id, channel.topic, name, text, encoding, channel.message_encoding))
        self.counts = _stated(self._scan)
        self._path = path
        self._view, self._map = memoryview(b""), None
        if self._scan.size:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._view = memoryview(self._map)
        self._starts = [chunk.place.chunk_start_offset for chunk in self._scan.chunks]
        if self._scan.torn:
            self._starts.append(self._scan.end)
        self._cache: OrderedDict[int, memoryview] = OrderedDict()

    def index(self, builder: IndexBuilder, file: int, topics: Wanted) -> None:
        found, released = _Findings(), 0
        unprotected = 0
        chunks = len(self._scan.chunks)
        for number, start in enumerate(self._starts):
            if start - released >= RELEASE_BYTES:
                self.release()
                released = start
            compression, records = chunk_body(self._view, start)
            data = plain(records, compression)
            _, _, _, _, size, crc = CHUNK_HEAD.unpack_from(self._view, start)
            if number < chunks and (len(data) != size or (crc and zlib.crc32(data) != crc)):
                found.bad_chunks += 1
                found.in_bad_chunks += sum(self._scan.chunks[number].counts.values())
                continue
            unprotected += not crc
            # Offset of the records in the file, for those that need no decompression.
            base = 0 if compression else self._records_offset(start)
            end = self._add(builder, file, topics, data, number if compression else -1, base, found)
            # Records that stop before the chunk does; of a torn chunk that is what repair counts.
            found.broken += number < chunks and end != len(data)
        for run in self._scan.runs:
            # Indexed with the offsets of the file: the view reaches from its start.
            self._add(builder, file, topics, self._view[: run.end], -1, 0, found, run.start)
        if self._scan.data_crc and self._scan.finished and not self._scan.gaps:
            if zlib.crc32(self._view[: self._scan.end]) != self._scan.data_crc:
                self.damage.append(f"{self._path.name}: the data section fails its CRC")
        elif unprotected or self._scan.runs:
            self.notes.append(f"{self._path.name} has no checksums: damage inside messages cannot be seen")
        self.damage += found.lines(self._path.name)

    def _add(
        self,
        builder: IndexBuilder,
        file: int,
        topics: Wanted,
        data: memoryview,
        chunk: int,
        base: int,
        found: "_Findings",
        start: int = 0,
    ) -> int:
        """Index the messages in `data` from `start` on; returns where its records end."""
        head = MESSAGE_HEAD.size
        end = start
        for opcode, at, end in walk(data, start):
            if opcode != Opcode.MESSAGE:
                continue
            if end - at < head:
                found.broken += 1
                continue
            _, _, channel, _, log_ns, _ = MESSAGE_HEAD.unpack_from(data, at)
            if channel not in topics or log_ns > LAST_NS:
                found.broken += 1
                continue
            topic, has_header = topics[channel]
            stamp = found.stamp(data[at + head : end], has_header)
            if stamp is not None:
                builder.add(topic, log_ns, stamp, end - at - head, file, chunk, base + at + head)
        return end

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


def _stated(scanned: McapScan) -> dict[str, int] | None:
    """Messages by topic after the summary's statistics."""
    if scanned.statistics is None:
        return None
    counts: Counter[str] = Counter()
    for channel_id, count in scanned.statistics.channel_message_counts.items():
        if channel_id in scanned.channels:
            counts[scanned.channels[channel_id].topic] += count
    # Some writers state a total only.
    return dict(counts) if counts or not scanned.statistics.message_count else None


class _Findings:
    """What was wrong while a file was indexed."""

    def __init__(self) -> None:
        self.bad_chunks = self.in_bad_chunks = self.broken = self.unpackable = 0

    def stamp(self, payload: memoryview | bytes, has_header: bool) -> int | None:
        """The header stamp of a message, 0 if it has none; None if the message cannot be decompressed."""
        if is_packed(payload):
            try:
                payload = unpack(payload)
            except ValueError:
                self.unpackable += 1
                return None
        return header_stamp_ns(payload[:STAMP_BYTES]) if has_header else 0

    def lines(self, name: str) -> list[str]:
        lines = []
        if self.bad_chunks:
            lines.append(f"{name}: {self.bad_chunks} chunks fail their CRC or size, with {self.in_bad_chunks} messages")
        if self.broken:
            lines.append(f"{name}: {self.broken} message records are broken")
        if self.unpackable:
            lines.append(f"{name}: {self.unpackable} messages cannot be decompressed")
        return lines


class SqliteSource:
    """A rosbag2 sqlite3 file of any version, with the write-ahead log or journal that a killed recorder left."""

    def __init__(self, path: Path) -> None:
        self.finished = True
        self.damage: list[str] = []
        self.notes: list[str] = [f"{path.name} has no checksums (sqlite3): damage inside messages cannot be seen"]
        self.counts: dict[str, int] | None = None
        self._path = path
        self._copy: TemporaryDirectory[str] | None = None
        self._connection: sqlite3.Connection | None = None
        try:
            self._connection = self._connect()
            with closing(self._connection.cursor()) as cursor:
                self.channels = _sqlite_channels(cursor)
        except (sqlite3.Error, OverflowError, UnicodeError, TypeError, ValueError) as error:
            self.close()
            raise EmmaError(
                f"{path} is not a readable sqlite3 bag",
                found=f"{type(error).__name__}: {error}",
                expected="a rosbag2 file",
                fix=f"sqlite3 {path.name} .recover prints what is left of it",
            ) from None

    def _connect(self) -> sqlite3.Connection:
        sides = [
            side for name in SQLITE_SIDES if (side := Path(f"{self._path}{name}")).exists() and side.stat().st_size
        ]
        if not sides:
            return _connected(self._path, "mode=ro&immutable=1")
        # sqlite writes while it recovers: into a copy, never into the recording.
        self._copy = TemporaryDirectory(prefix="emma-bag-")
        target = Path(self._copy.name) / "bag.db3"
        clone(self._path, target)
        for side in sides:
            clone(side, Path(f"{target}{str(side).removeprefix(str(self._path))}"))
        connection = _connected(target, "mode=rw")
        names = ", ".join(side.name for side in sides)
        self.notes.append(f"{self._path.name} was not closed: read together with {names}")
        return connection

    def index(self, builder: IndexBuilder, file: int, topics: Wanted) -> None:
        found, name = _Findings(), self._path.name
        try:
            problems = [row[0] for row in self._rows("PRAGMA integrity_check(3)")]
            if problems != ["ok"]:
                self.damage.append(f"{name}: the database is damaged ({'; '.join(map(str, problems))})")
            rows = self._rows(
                "SELECT id, topic_id, timestamp, typeof(data), length(data), "
                "CASE WHEN substr(data, 1, 4) = x'28B52FFD' THEN data ELSE substr(data, 1, ?) END "
                "FROM messages ORDER BY id",
                STAMP_BYTES,
            )
            for row, channel, log_ns, kind, size, start in rows:
                if channel not in topics or kind != "blob" or not isinstance(log_ns, int) or not isinstance(row, int):
                    found.broken += 1
                    continue
                topic, has_header = topics[channel]
                stamp = found.stamp(start or b"", has_header)
                if stamp is not None:
                    builder.add(topic, log_ns, stamp, size, file, -1, row)
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            self.damage.append(f"{name}: reading stopped ({error})")
        self.damage += found.lines(name)

    def load(self, chunk: int, offset: int, size: int) -> memoryview:
        try:
            [(data,)] = self._rows("SELECT data FROM messages WHERE id = ?", offset)
        except (sqlite3.Error, ValueError) as error:
            raise EmmaError(f"a message of {self._path.name} cannot be read", found=f"row {offset}: {error}") from None
        return memoryview(data)

    def _rows(self, query: str, *values: int) -> sqlite3.Cursor:
        assert self._connection is not None
        return self._connection.execute(query, values)

    def release(self) -> None:
        return None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._copy is not None:
            self._copy.cleanup()
            self._copy = None


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    # As a URI every character of a path is legal.
    return sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)


def _sqlite_channels(cursor: sqlite3.Cursor) -> list[Channel]:
    definitions: dict[str, tuple[str, str]] = {}
    tables = {name for (name,) in cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "message_definitions" in tables:
        query = "SELECT topic_type, encoded_message_definition, encoding FROM message_definitions"
        definitions = {kind: (str(text), str(encoding)) for kind, text, encoding in cursor.execute(query)}
    channels = []
    for number, topic, kind, serialization in cursor.execute("SELECT id, name, type, serialization_format FROM topics"):
        if not isinstance(number, int) or not all(isinstance(v, str) for v in (topic, kind, serialization)):
            raise ValueError(f"topic {number!r} is {topic!r} of type {kind!r}")
        channels.append(Channel(number, topic, kind, *definitions.get(kind, ("", "")), serialization))
    return channels
