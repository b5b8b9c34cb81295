"""Fast DDS set up for images: a shared memory segment that holds them, unless the user has set it up otherwise."""

import fcntl
import os
import time
from collections.abc import MutableMapping
from pathlib import Path

PROFILES = Path(__file__).with_name("fastdds.xml")
PROFILES_VARIABLE = "FASTDDS_DEFAULT_PROFILES_FILE"
# Whoever sets one of these has chosen transports already (the second is the name before Fast DDS 3).
CHOSEN = (PROFILES_VARIABLE, "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_BUILTIN_TRANSPORTS")
SHARED_MEMORY = Path("/dev/shm")
# Every process takes 64 MiB there, half a second of three 640 x 480 RGB-D cameras. A container has no more than that
# unless told otherwise (docker run --shm-size).
NEEDED_BYTES = 1 << 30
# A segment this young may belong to a process that has not locked it yet.
YOUNG_S = 10.0
LOCK_SUFFIX = "_el"
# Sixteen hexadecimal digits; ports have names of their own and are small.
SEGMENT_LOCKS = "fastdds_" + 16 * "[0-9a-f]" + LOCK_SUFFIX


def use_large_segments(environ: MutableMapping[str, str] | None = None, shared: Path = SHARED_MEMORY) -> bool:
    """Name our profiles in `environ` (default: this process, before `rclpy.init`). False: left as it was."""
    environ = os.environ if environ is None else environ
    if any(environ.get(name) for name in CHOSEN):
        return False
    try:
        remove_abandoned(shared)
        status = os.statvfs(shared)
    except OSError:
        return False
    if status.f_bavail * status.f_frsize < NEEDED_BYTES:
        return False
    environ[PROFILES_VARIABLE] = str(PROFILES)
    return True


def remove_abandoned(shared: Path = SHARED_MEMORY) -> int:
    """Remove the segments of killed processes, as `fastdds shm clean` does; returns how many.

    A living process holds a lock on `<segment>_el`; nobody else takes 64 MiB back after a kill -9.
    """
    removed = 0
    for lock in shared.glob(SEGMENT_LOCKS):
        try:
            if time.time() - lock.stat().st_mtime < YOUNG_S:
                continue
            with lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                lock.with_name(lock.name.removesuffix(LOCK_SUFFIX)).unlink(missing_ok=True)
                lock.unlink()
        except OSError:
            continue  # in use, gone in the meantime, or another user's
        removed += 1
    return removed
