"""Device memory that is host memory."""

import ctypes
from typing import Any


class HostMemory:
    """In place of Polygraphy's wrapper of the CUDA runtime: allocations in host memory, copies at once."""

    def __init__(self) -> None:
        self._kept: dict[int, Any] = {}

    def create_stream(self) -> int:
        return 1

    def stream_synchronize(self, stream: int) -> None: ...

    def destroy_stream(self, stream: int) -> None: ...

    def malloc(self, nbytes: int) -> int:
        buffer = ctypes.create_string_buffer(max(1, nbytes))
        self._kept[ctypes.addressof(buffer)] = buffer
        return ctypes.addressof(buffer)

    def free(self, address: int) -> None:
        self._kept.pop(address, None)

    def memcpy(self, dst: int, src: int, nbytes: int, kind: Any, stream_ptr: int | None = None) -> None:
        ctypes.memmove(dst, src, nbytes)

    @property
    def allocations(self) -> int:
        return len(self._kept)
