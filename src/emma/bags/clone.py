"""Copies of large files, shared block by block where the file system can (btrfs, XFS), else byte by byte."""

import errno
import fcntl
import os
import shutil
from pathlib import Path

from emma.errors import EmmaError
from emma.files import no_room

# ioctl_ficlone(2)
FICLONE = 0x40049409
UNSUPPORTED = (errno.EOPNOTSUPP, errno.EINVAL, errno.EXDEV, errno.ENOTTY, errno.EBADF, errno.EPERM, errno.ETXTBSY)


def clone(source: Path, target: Path) -> None:
    """Copy `source` to the new file `target`. Raises EmmaError if the disk has no room for it."""
    try:
        with source.open("rb") as original, target.open("xb") as copy:
            try:
                fcntl.ioctl(copy.fileno(), FICLONE, original.fileno())
            except OSError as error:
                if error.errno not in UNSUPPORTED:
                    raise
                shutil.copyfileobj(original, copy, 1 << 24)
            copy.flush()
            os.fsync(copy.fileno())
    except OSError as error:
        target.unlink(missing_ok=True)
        if not no_room(error):
            raise
        raise EmmaError(
            f"no room for a copy of {source.name}",
            found=f"{shutil.disk_usage(target.parent).free / 1e9:.1f} GB free in {target.parent}",
            expected=f"{source.stat().st_size / 1e9:.1f} GB",
            fix="make room on that disk, or move the bag to another one",
        ) from None
    except BaseException:
        target.unlink(missing_ok=True)
        raise
