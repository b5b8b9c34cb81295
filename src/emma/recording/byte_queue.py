"""A queue that is bounded in bytes as well as in items, and never makes its feeder wait."""

from collections import deque
from threading import Condition
from typing import NamedTuple


class Incoming(NamedTuple):
    """One serialised message on its way to the disk."""

    topic: str
    log_time_ns: int
    publish_time_ns: int
    data: bytes


class ByteQueue:
    """First in, first out, between any number of feeders and one reader.

    What the reader has taken counts until it says `done`: the bound holds for all memory between feeder and disk.
    """

    def __init__(self, max_bytes: int, max_items: int) -> None:
        self._max_bytes, self._max_items = max_bytes, max_items
        self._items: deque[Incoming] = deque()
        self._held_items = 0
        self._bytes = 0
        self._closed = False
        self._changed = Condition()
        self.peak_bytes = 0

    @property
    def bytes(self) -> int:
        """Bytes held now."""
        return self._bytes

    def put(self, item: Incoming) -> bool:
        """Take the item, or return False at once: the queue is full or closed."""
        with self._changed:
            if self._closed or self._bytes + len(item.data) > self._max_bytes or self._held_items + 1 > self._max_items:
                return False
            self._items.append(item)
            self._held_items += 1
            self._bytes += len(item.data)
            self.peak_bytes = max(self.peak_bytes, self._bytes)
            if len(self._items) == 1:
                self._changed.notify()
            return True

    def take(self, timeout_s: float) -> deque[Incoming] | None:
        """All items, waiting up to `timeout_s` for one; none if none came; None when closed and empty."""
        with self._changed:
            if not self._items and not self._closed:
                self._changed.wait(timeout_s)
            if not self._items and self._closed:
                return None
            taken, self._items = self._items, deque()
            return taken

    def done(self, items: int, size: int) -> None:
        """The reader has let go of that many items and bytes."""
        with self._changed:
            self._held_items -= items
            self._bytes -= size

    def close(self) -> None:
        """Take no more; the reader gets what is there and then None."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
