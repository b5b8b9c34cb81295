"""Where every message of a bag is and which moment it stands for, without keeping the messages in memory."""

from array import array
from dataclasses import dataclass

import numpy as np

# CDR: four bytes of encapsulation (the second says the byte order), then a header's stamp: int32 s, uint32 ns.
STAMP_BYTES = 12


@dataclass(frozen=True)
class MessageIndex:
    """One entry per message, in the order of the files. Times in ns.

    topic: number of the topic; log_ns: when it was received; stamp_ns: its header stamp, or log_ns where the header has
    none (0) or there is no header; stamped: whether stamp_ns is a header stamp; size: bytes as stored; file, chunk,
    offset: where it is (chunk -1: offset in the file, else in the decompressed chunk; sqlite: row id).
    """

    topic: np.ndarray
    log_ns: np.ndarray
    stamp_ns: np.ndarray
    stamped: np.ndarray
    size: np.ndarray
    file: np.ndarray
    chunk: np.ndarray
    offset: np.ndarray

    def __len__(self) -> int:
        return len(self.topic)

    def of(self, topic: int) -> np.ndarray:
        """Positions of one topic's messages, in file order."""
        return np.flatnonzero(self.topic == topic)


class IndexBuilder:
    """Collects entries in flat arrays: 41 bytes a message, ten times less than Python objects."""

    def __init__(self) -> None:
        self._columns = {
            "topic": array("H"),
            "log_ns": array("q"),
            "stamp_ns": array("q"),
            "stamped": array("b"),
            "size": array("I"),
            "file": array("H"),
            "chunk": array("i"),
            "offset": array("q"),
        }

    def add(self, topic: int, log_ns: int, stamp_ns: int, size: int, file: int, chunk: int, offset: int) -> None:
        """stamp_ns: 0 if the message has no stamp."""
        columns = self._columns
        columns["topic"].append(topic)
        columns["log_ns"].append(log_ns)
        columns["stamp_ns"].append(stamp_ns or log_ns)
        columns["stamped"].append(stamp_ns != 0)
        columns["size"].append(size)
        columns["file"].append(file)
        columns["chunk"].append(chunk)
        columns["offset"].append(offset)

    def build(self) -> MessageIndex:
        columns = {name: np.array(column) for name, column in self._columns.items()}
        return MessageIndex(**columns | {"stamped": columns["stamped"].astype(bool)})


def header_stamp_ns(data: memoryview | bytes) -> int:
    """The stamp of a serialised message that begins with a std_msgs/Header; 0 if it has none or is too short."""
    if len(data) < STAMP_BYTES:
        return 0
    order = "little" if data[1] & 1 else "big"
    seconds = int.from_bytes(data[4:8], order, signed=True)  # type: ignore[arg-type]
    return seconds * 1_000_000_000 + int.from_bytes(data[8:12], order)  # type: ignore[arg-type]
