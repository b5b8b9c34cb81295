"""A file that only grows, written past the page cache where the disk allows it.

What a recorder writes is not read soon. Through the page cache most of the work is finding pages, filling them,
writing them back and dropping them again, and the kernel's writing back stalls the writer. Straight from an aligned
buffer (O_DIRECT, see open(2)) there is one copy, and the disk's own pace.
"""

import contextlib
import errno
import fcntl
import mmap
import os
from collections.abc import Callable, Sequence
from itertools import batched
from pathlib import Path
from typing import Final

IOV_MAX: Final = os.sysconf("SC_IOV_MAX")
# Aligned for every disk that is sold.
BLOCK: Final = 4096
# More than a recorder's chunk and the image that made it full: one write for each chunk.
STAGE_BYTES: Final = 8 << 20
_DIRECT: Final = getattr(os, "O_DIRECT", 0)

Buffer = bytes | memoryview


class AppendFile:
    """Appends whole lists of buffers, or nothing: after an OSError the file ends where it did before. Not thread-safe.

    After `append` the kernel or the disk has everything: a killed process loses nothing of it. Written directly, the
    last block is filled up with zeros until more comes or `cut`.
    """

    def __init__(self, fd: int, end: int, *, direct: bool = False) -> None:
        """fd: open for writing, and owned from here on; end: bytes that stay. direct: only for an empty file."""
        self._fd, self._end = fd, end
        self._stage: memoryview | None = None
        # What the block at the end holds so far.
        self._tail = b""
        if direct and end == 0 and self._set_direct(True):
            self._stage = memoryview(mmap.mmap(-1, STAGE_BYTES))
        else:
            os.lseek(fd, end, os.SEEK_SET)

    @classmethod
    def create(cls, path: Path, *, direct: bool = False) -> "AppendFile":
        """A new file. Raises FileExistsError. direct: where the disk can, else plainly."""
        return cls(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), 0, direct=direct)

    @property
    def end(self) -> int:
        """Bytes appended so far."""
        return self._end

    @property
    def direct(self) -> bool:
        """Whether writes go past the page cache."""
        return self._stage is not None and bool(fcntl.fcntl(self._fd, fcntl.F_GETFL) & _DIRECT)

    def fileno(self) -> int:
        """The file descriptor, for a second thread that syncs; -1 when closed."""
        return self._fd

    def append(self, buffers: Sequence[Buffer]) -> None:
        """Write all of them at the end. Raises OSError."""
        try:
            if self._stage is None:
                for batch in batched(buffers, IOV_MAX):
                    write_all(self._fd, batch)
            else:
                self._tail = self._append_blocks(self._stage, buffers)
        except OSError:
            # Of a disk that is gone, repair cuts the torn record when it is back.
            with contextlib.suppress(OSError):
                self.cut()
            raise
        self._end += sum(map(len, buffers))

    def cut(self) -> None:
        """Let the file end at `end`: no zeros, nothing torn. Raises OSError."""
        # First: whatever the disk says to the rest, nothing is ever written over what is there.
        os.lseek(self._fd, self._end, os.SEEK_SET)
        os.ftruncate(self._fd, self._end)

    def use_cache(self) -> None:
        """From now on through the page cache, whose memory takes a burst that the disk cannot."""
        if self._stage is not None:
            self._set_direct(False)
            self._stage, self._tail = None, b""
            self.cut()

    def close(self) -> None:
        """Close the file as it is. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append_blocks(self, stage: memoryview, buffers: Sequence[Buffer]) -> bytes:
        """Returns what the last block holds."""
        at, filled = self._end - len(self._tail), len(self._tail)
        stage[:filled] = self._tail
        for buffer in buffers:
            rest = memoryview(buffer)
            while len(rest):
                piece = rest[: STAGE_BYTES - filled]
                stage[filled : filled + len(piece)] = piece
                filled, rest = filled + len(piece), rest[len(piece) :]
                if filled == STAGE_BYTES:
                    self._write_at(stage, at)
                    at, filled = at + STAGE_BYTES, 0
        whole = filled // BLOCK * BLOCK
        padded = whole + BLOCK if filled > whole else whole
        stage[filled:padded] = bytes(padded - filled)
        self._write_at(stage[:padded], at)
        return bytes(stage[whole:filled])

    def _write_at(self, data: memoryview, at: int) -> None:
        done = 0
        while done < len(data):
            try:
                taken = os.pwrite(self._fd, data[done:], at + done)
            except OSError as error:
                # The rest of a write that a full disk cut short, or a file system that only says so now.
                if error.errno != errno.EINVAL or not self._set_direct(False):
                    raise
                continue
            if taken == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            done += taken

    def _set_direct(self, wanted: bool) -> bool:
        """Whether that changed something and the file system agreed."""
        flags = fcntl.fcntl(self._fd, fcntl.F_GETFL)
        if not _DIRECT or bool(flags & _DIRECT) == wanted:
            return False
        try:
            fcntl.fcntl(self._fd, fcntl.F_SETFL, flags ^ _DIRECT)
        except OSError:
            return False
        return True


def write_all(fd: int, buffers: Sequence[Buffer], writev: Callable[[int, list], int] = os.writev) -> None:
    """`writev` until everything is written: the kernel may take only a part, as just before the disk is full."""
    rest: list = list(buffers)
    while rest:
        taken = writev(fd, rest)
        done = 0
        while done < len(rest) and taken >= len(rest[done]):
            taken -= len(rest[done])
            done += 1
        rest = rest[done:]
        if taken:
            rest[0] = memoryview(rest[0])[taken:]
