"""What plain writes to a disk reach, synced as often as a recorder syncs."""

import os
import time
from pathlib import Path

BLOCK_BYTES = 4 << 20
SYNC_S = 1.0


def disk_mb_per_s(folder: Path, size: int) -> float:
    """Write `size` bytes in blocks of 4 MiB to a new file in `folder`, on disk at the end; the file is deleted."""
    path, block = folder / "disk.bin", os.urandom(BLOCK_BYTES)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        start = synced = time.monotonic()
        for _ in range(size // BLOCK_BYTES):
            written = 0
            while written < BLOCK_BYTES:
                written += os.write(fd, memoryview(block)[written:])
            if time.monotonic() - synced >= SYNC_S:
                os.fdatasync(fd)
                synced = time.monotonic()
        os.fdatasync(fd)
        return size / 1e6 / (time.monotonic() - start)
    finally:
        os.close(fd)
        path.unlink()
