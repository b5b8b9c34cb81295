"""A disk under a bench: whether it has room, and what plain writes reach, synced as often as a recorder syncs."""

import os
import shutil
import time
from pathlib import Path

from emma.errors import EmmaError

BLOCK_BYTES = 4 << 20
# Enough to see past caches, within the room a benchmark asks for.
DISK_BYTES = 8 << 30
SYNC_S = 1.0


def require_room(folder: Path, needed: float) -> None:
    """Raise EmmaError where the disk of `folder` has less than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise EmmaError(
            "no room for what this bench records",
            found=f"{free / 1e9:.1f} GB free in {folder}",
            expected=f"{needed / 1e9:.1f} GB",
            fix="free some, set TMPDIR to a folder on a larger disk, or run it with --quick",
        )


def disk_mb_per_s(folder: Path, seconds: float, most: int) -> float:
    """Write blocks of 4 MiB to a new file in `folder` for `seconds` or `most` bytes, all on disk at the end."""
    path, block = folder / "disk.bin", os.urandom(BLOCK_BYTES)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        start = synced = time.monotonic()
        size = 0
        while size < most and time.monotonic() - start < seconds:
            written = 0
            while written < BLOCK_BYTES:
                written += os.write(fd, memoryview(block)[written:])
            size += BLOCK_BYTES
            if time.monotonic() - synced >= SYNC_S:
                os.fdatasync(fd)
                synced = time.monotonic()
        os.fdatasync(fd)
        return size / 1e6 / (time.monotonic() - start)
    finally:
        os.close(fd)
        path.unlink()
