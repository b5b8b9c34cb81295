"""Bags of every make: MCAP or sqlite3, one file or many, with or without `metadata.yaml`, finished or not."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace, TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from emma.bags.files import MCAP, SQLITE, BagPart, bag_parts, storage_of
from emma.bags.index import IndexBuilder, MessageIndex
from emma.bags.message_definitions import typestore
from emma.bags.packing import PACKED, is_packed, unpack, unpack_file
from emma.bags.storages import McapSource, Source, SqliteSource
from emma.errors import EmmaError

log = logging.getLogger(__name__)

SOURCES: dict[str, Callable[[Path], Source]] = {MCAP: McapSource, SQLITE: SqliteSource}


class BagTopicInfo(NamedTuple):
    """One topic of a bag, its number in the index, and whether its messages begin with a header."""

    number: int
    name: str
    type: str
    has_header: bool
    serialization: str = "cdr"


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
        self._cut: list[str] = []
        try:
            self._parts: list[BagPart] = bag_parts(self.path)
            for file in self.files:
                path = self._unpacked(file)
                self._sources.append(SOURCES[storage_of(path)](path))
            self.topics = self._find_topics()
        except OSError as error:
            self.close()
            raise EmmaError(
                f"cannot read {error.filename or self.path}", found=error.strerror or str(error), expected="a bag"
            ) from None
        except BaseException:
            self.close()
            raise

    @property
    def files(self) -> list[Path]:
        """The files of the bag as they are on the disk."""
        return [file for part in self._parts for file in part.files]

    @property
    def finished(self) -> bool:
        """Whether every file has its end; an unfinished bag can be read, and repaired."""
        return not self._cut and all(source.finished for source in self._sources)

    @property
    def size(self) -> int:
        """Bytes of the bag's files."""
        return sum(file.stat().st_size for file in self.files)

    @cached_property
    def index(self) -> MessageIndex:
        """All messages of the bag, in the order of its files; every chunk is checked on the way."""
        builder = IndexBuilder()
        for number, source in enumerate(self._sources):
            wanted = {c.id: (t.number, t.has_header) for c in source.channels if (t := self.topics[c.topic])}
            source.index(builder, number, wanted)
        return builder.build()

    @cached_property
    def damage(self) -> tuple[str, ...]:
        """What is not there and should be: bytes that cannot be read, files and messages that are promised."""
        counts = self._counts()
        found = [line for part in self._parts for line in part.damage] + self._cut
        found += [line for source in self._sources for line in source.damage]
        first = 0
        for part in self._parts:
            files = range(first, first + len(part.files))
            first += len(part.files)
            if part.counts is not None:
                found += _broken_promises("metadata.yaml", part.counts, sum((counts[n] for n in files), Counter()))
            for number in files:
                stated = self._sources[number].counts
                if stated is not None and self._sources[number].finished:
                    found += _broken_promises(self.files[number].name, stated, counts[number])
        return tuple(found)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What was guessed or cannot be checked while reading."""
        _ = self.index
        parts = [line for part in self._parts for line in part.notes]
        return tuple(parts + [line for source in self._sources for line in source.notes])

    def _counts(self) -> list[Counter[str]]:
        """Messages by topic, of every file."""
        index = self.index
        numbers, counts = np.unique(np.stack([index.file, index.topic]).astype(np.int64), axis=1, return_counts=True)
        found: list[Counter[str]] = [Counter() for _ in self._sources]
        for (file, topic), count in zip(numbers.T, counts, strict=True):
            found[file][self.topic(int(topic)).name] = int(count)
        return found

    @cached_property
    def store(self) -> Typestore:
        """The message types of this bag: its own definitions first, else those of ROS 2."""
        definitions = {
            (channel.type, channel.encoding, channel.definition)
            for source in self._sources
            for channel in source.channels
            if channel.definition
        }
        return _store(tuple(sorted(definitions)))

    def raw(self, position: int) -> memoryview:
        """The serialised message at a position of the index."""
        index = self.index
        source = self._sources[index.file[position]]
        data = source.load(int(index.chunk[position]), int(index.offset[position]), int(index.size[position]))
        return memoryview(unpack(data)) if is_packed(data) else data

    def message(self, position: int) -> Any:
        """The message at a position of the index, decoded. Raises EmmaError if it cannot be."""
        topic = self.topic(int(self.index.topic[position]))
        return self.decode(topic, self.raw(position))

    def decode(self, topic: BagTopicInfo, data: memoryview) -> Any:
        """Bytes to a message."""
        if topic.serialization != "cdr":
            raise EmmaError(
                f"{topic.name} is not encoded as ROS 2 encodes messages",
                found=topic.serialization or "no encoding",
                expected="cdr",
                fix="convert the bag to ROS 2 first, for instance with `rosbags-convert`",
            )
        try:
            return self.store.deserialize_cdr(data, topic.type)
        except KeyError:
            raise EmmaError(
                f"{topic.name} has a type without a definition",
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

    def _unpacked(self, file: Path) -> Path:
        """rosbag2 can compress whole files; they are unpacked for the time of reading."""
        if not file.name.endswith(PACKED):
            return file
        if self._temporary is None:
            self._temporary = TemporaryDirectory(prefix="emma-bag-")
        target = Path(self._temporary.name) / f"{len(self._sources)}" / file.name.removesuffix(PACKED)
        target.parent.mkdir()
        if problem := unpack_file(file, target):
            self._cut.append(problem)
        return target

    def _find_topics(self) -> dict[str, BagTopicInfo]:
        kinds: dict[str, dict[tuple[str, str], None]] = {}
        for source in self._sources:
            for channel in source.channels:
                kinds.setdefault(channel.topic, {})[channel.type, channel.serialization] = None
        topics = {}
        for number, (name, found) in enumerate(kinds.items()):
            # Two types on one topic: neither is right for all of its messages, so that it is no use as either.
            kind = " and ".join(dict.fromkeys(kind for kind, _ in found))
            serialization = " and ".join(dict.fromkeys(encoding for _, encoding in found))
            topics[name] = BagTopicInfo(number, name, kind, self._has_header(kind), serialization)
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
            stamp = int(bag.index.stamp_ns[position]) if bag.index.stamped[position] else 0
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


def _broken_promises(name: str, stated: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    """Where the messages of a bag differ from what one of its files states."""
    return [
        f"{name} promises {stated.get(topic, 0)} messages of {topic}, there are {found.get(topic, 0)}"
        for topic in dict.fromkeys([*stated, *found])
        if stated.get(topic, 0) != found.get(topic, 0)
    ]


@lru_cache(maxsize=8)
def _store(definitions: tuple[tuple[str, str, str], ...]) -> Typestore:
    """The types of `definitions` (name, encoding, text), and those of ROS 2 that are not among them.

    Kept for the next bag: the bags of one robot have the same, and registering them takes longer than a small bag.
    """
    store = get_typestore(Stores.EMPTY)
    types: dict = {}
    for name, encoding, text in definitions:
        try:
            if encoding in ("ros2msg", "msg"):
                types.update(get_types_from_msg(text, name))
            elif encoding in ("ros2idl", "idl", "omgidl"):
                types.update(get_types_from_idl(text))
        except Exception as error:  # the parser raises whatever a damaged definition provokes
            log.debug("the definition of %s cannot be used: %s", name, error)
    known = typestore().fielddefs
    types.update({name: fields for name, fields in known.items() if name not in types})
    store.register(types)
    return store
