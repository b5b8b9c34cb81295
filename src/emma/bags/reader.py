"""Bags of every make: MCAP or sqlite3, one file or many, with or without `metadata.yaml`, finished or not."""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace, TracebackType
from typing import Any, NamedTuple, Self

import zstandard
from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from emma.bags.files import MCAP, SQLITE, BagFile, bag_files
from emma.bags.index import IndexBuilder, MessageIndex
from emma.bags.message_definitions import typestore
from emma.bags.storages import McapSource, Source, SqliteSource
from emma.errors import EmmaError

SOURCES: dict[str, Callable[[Path], Source]] = {MCAP: McapSource, SQLITE: SqliteSource}


class BagTopicInfo(NamedTuple):
    """One topic of a bag, its number in the index, and whether its messages begin with a header."""

    number: int
    name: str
    type: str
    has_header: bool


class BagMessage(NamedTuple):
    """One decoded message with the time it was received (ns)."""

    topic: str
    type: str
    log_ns: int
    message: Any


class Bag:
    """A bag opened for reading. A context manager. Not thread-safe.

    Nothing is read in full: the index knows where each message is, and `raw` or `message` load one of them.
    """

    def __init__(self, path: Path | str) -> None:
        """Raises EmmaError if there is no bag, or one in a format that is not read here."""
        self.path = Path(path)
        self._temporary: TemporaryDirectory[str] | None = None
        self._sources: list[Source] = []
        try:
            self._files = bag_files(self.path)
            for file in self._files:
                path = self._unpacked(file)
                self._sources.append(SOURCES[path.suffix](path))
        except BaseException:
            self.close()
            raise
        self.topics = self._find_topics()

    @property
    def finished(self) -> bool:
        """Whether every file has its end; an unfinished bag can be read, and repaired."""
        return all(source.finished for source in self._sources)

    @property
    def size(self) -> int:
        """Bytes of the bag's files."""
        return sum(file.path.stat().st_size for file in self._files)

    @cached_property
    def index(self) -> MessageIndex:
        """All messages of the bag, in the order of its files."""
        builder = IndexBuilder()
        for number, source in enumerate(self._sources):
            wanted = {c.id: (t.number, t.has_header) for c in source.channels if (t := self.topics[c.topic])}
            source.index(builder, number, wanted)
        return builder.build()

    @cached_property
    def store(self) -> Typestore:
        """The message types of this bag: its own definitions first, else those of ROS 2."""
        store = get_typestore(Stores.EMPTY)
        types: dict = {}
        for source in self._sources:
            for channel in source.channels:
                try:
                    if channel.encoding in ("ros2msg", "msg") and channel.definition:
                        types.update(get_types_from_msg(channel.definition, channel.type))
                    elif channel.encoding in ("ros2idl", "idl", "omgidl"):
                        types.update(get_types_from_idl(channel.definition))
                except TypesysError:
                    continue
        known = typestore().fielddefs
        types.update({name: fields for name, fields in known.items() if name not in types})
        store.register(types)
        return store

    def raw(self, position: int) -> memoryview:
        """The serialised message at a position of the index."""
        index = self.index
        source = self._sources[index.file[position]]
        data = source.load(int(index.chunk[position]), int(index.offset[position]), int(index.size[position]))
        return memoryview(zstandard.decompress(data)) if self._files[index.file[position]].messages_packed else data

    def message(self, position: int) -> Any:
        """The message at a position of the index, decoded. Raises EmmaError if it cannot be."""
        topic = self.topic(int(self.index.topic[position]))
        return self.decode(topic, self.raw(position))

    def decode(self, topic: BagTopicInfo, data: memoryview) -> Any:
        """Bytes to a message."""
        try:
            return self.store.deserialize_cdr(data, topic.type)
        except KeyError:
            raise EmmaError(
                f"{topic.name} has a type nobody describes",
                found=topic.type,
                expected="its definition in the bag or installed",
                fix="source the workspace that has it, or leave the topic out",
            ) from None
        except Exception as error:  # the generated decoders raise whatever broken bytes provoke
            raise EmmaError(
                f"a message on {topic.name} cannot be decoded",
                found=f"{type(error).__name__}: {error}",
                expected=topic.type,
            ) from None

    def lazy(self, position: int) -> "LazyMessage":
        """The message at a position, decoded when more than its stamp is asked for."""
        return LazyMessage(self, position)

    def topic(self, number: int) -> BagTopicInfo:
        return self._by_number[number]

    def messages(self, topics: Iterable[str] | None = None) -> Iterator[BagMessage]:
        """All messages, or those of some topics, decoded, in the order they were received."""
        numbers = {self.topics[name].number for name in topics or self.topics if name in self.topics}
        index = self.index
        for position in index.log_ns.argsort(kind="stable"):
            number = int(index.topic[position])
            if number in numbers:
                topic = self.topic(number)
                yield BagMessage(topic.name, topic.type, int(index.log_ns[position]), self.message(int(position)))

    def release(self) -> None:
        """Let go of memory that only holds what is on the disk; nothing that was read becomes invalid."""
        for source in self._sources:
            source.release()

    def close(self) -> None:
        for source in self._sources:
            source.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _unpacked(self, file: BagFile) -> Path:
        """rosbag2 can compress whole files; they are unpacked for the time of reading."""
        if not file.packed:
            return file.path
        if self._temporary is None:
            self._temporary = TemporaryDirectory(prefix="emma-bag-")
        target = Path(self._temporary.name) / f"{len(self._sources)}" / file.path.stem
        target.parent.mkdir()
        with file.path.open("rb") as source, target.open("wb") as sink:
            zstandard.ZstdDecompressor().copy_stream(source, sink)
        return target

    def _find_topics(self) -> dict[str, BagTopicInfo]:
        kinds: dict[str, str] = {}
        # Compressed messages hide the stamp behind zstd.
        packed: set[str] = set()
        for file, source in zip(self._files, self._sources, strict=True):
            for channel in source.channels:
                kinds.setdefault(channel.topic, channel.type)
                if file.messages_packed:
                    packed.add(channel.topic)
        topics = {
            name: BagTopicInfo(number, name, kind, name not in packed and self._has_header(kind))
            for number, (name, kind) in enumerate(kinds.items())
        }
        self._by_number = list(topics.values())
        return topics

    def _has_header(self, msgtype: str) -> bool:
        fields = self.store.fielddefs.get(msgtype)
        # A field is (name, (kind, type)).
        first = fields[1][0] if fields and fields[1] else None
        return first is not None and first[1][1] == "std_msgs/msg/Header"


class LazyMessage:
    """A message that knows its header stamp at once and is decoded when anything else is asked for.

    It lets the one rule of alignment choose among all messages of a bag while only the chosen ones are decoded.
    """

    def __init__(self, bag: Bag, position: int) -> None:
        self._bag, self._position = bag, position
        self._message: Any = None
        if bag.topic(int(bag.index.topic[position])).has_header:
            stamp = int(bag.index.stamp_ns[position])
            self.header = SimpleNamespace(
                stamp=SimpleNamespace(sec=stamp // 1_000_000_000, nanosec=stamp % 1_000_000_000)
            )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if self._message is None:
            self._message = self._bag.message(self._position)
        return getattr(self._message, name)


def read_bag(path: Path | str, topics: Iterable[str] | None = None) -> Iterator[BagMessage]:
    """The decoded messages of a bag in the order they were received."""
    with Bag(path) as bag:
        yield from bag.messages(topics)
