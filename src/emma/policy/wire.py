"""Two processes that hand each other arrays: a line of JSON through a pipe, the numbers in shared memory. No pickle."""

import json
import mmap
import os
import select
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

LENGTH = struct.Struct("<I")
# Arrays begin at cache lines.
ALIGN = 64
# The largest header: names and shapes of a few arrays, an instruction, an error's text.
HEADER_BYTES = 1 << 20


class Message(NamedTuple):
    """values: whatever JSON holds; arrays: views of the shared memory, good until the next message either way."""

    values: dict[str, Any]
    arrays: dict[str, np.ndarray]


class Channel:
    """One end. Strictly in turn: each message is answered before the next, so both ends can share one memory.

    receive, send: file descriptors of pipes; memory: of a memory file (`os.memfd_create`), which grows as needed.
    """

    def __init__(self, receive: int, send: int, memory: int) -> None:
        self._receive, self._send, self._memory = receive, send, memory
        self._map: mmap.mmap | None = None

    def send(self, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None = None) -> None:
        """Raises OSError (BrokenPipeError) if the other end is gone."""
        places, end = [], 0
        for name, array in (arrays or {}).items():
            start = -(-end // ALIGN) * ALIGN
            places.append((name, array.dtype.str, array.shape, start))
            end = start + array.nbytes
        shared = self._mapped(end, grow=True)
        for (_, _, _, start), array in zip(places, (arrays or {}).values(), strict=True):
            view = np.frombuffer(shared, array.dtype, array.size, start) if array.size else array.ravel()
            view.reshape(array.shape)[...] = array
        header = json.dumps({"values": values, "arrays": places, "bytes": end}).encode()
        data = memoryview(LENGTH.pack(len(header)) + header)
        while data:
            data = data[os.write(self._send, data) :]

    def receive(self, timeout_s: float | None = None) -> Message:
        """The next message. Raises EOFError if the other end is gone, TimeoutError if nothing came in time."""
        poll = select.poll()
        poll.register(self._receive, select.POLLIN | select.POLLHUP)
        if not poll.poll(None if timeout_s is None else timeout_s * 1e3):
            raise TimeoutError(f"nothing within {timeout_s:g} s")
        (length,) = LENGTH.unpack(self._read(LENGTH.size))
        if length > HEADER_BYTES:
            raise EOFError(f"a header of {length} bytes")
        header = json.loads(self._read(length))
        shared = self._mapped(header["bytes"], grow=False)
        arrays = {}
        for name, dtype, shape, start in header["arrays"]:
            count = int(np.prod(shape, dtype=np.int64))
            flat = np.frombuffer(shared, dtype, count, start) if count else np.zeros(0, dtype)
            arrays[name] = flat.reshape(shape)
        return Message(header["values"], arrays)

    def close(self) -> None:
        """Close this end: the other one sees it at once."""
        for descriptor in (self._receive, self._send, self._memory):
            os.close(descriptor)

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = os.read(self._receive, count - len(data))
            if not part:
                raise EOFError("the other end is closed")
            data += part
        return data

    def _mapped(self, size: int, *, grow: bool) -> mmap.mmap | bytes:
        if size == 0:
            return b""
        if self._map is None or len(self._map) < size:
            if grow:
                os.ftruncate(self._memory, max(size, os.fstat(self._memory).st_size))
            # The old map goes when the last array in it does.
            self._map = mmap.mmap(self._memory, 0)
        return self._map
