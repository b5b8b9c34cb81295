"""Fast DDS set up for images and for restarts, unless the user has set it up otherwise.

A shared memory segment that holds images, and ports that no process had before that was killed a moment ago.
"""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from emma.ros.participant import next_participant

PROFILES = Path(__file__).with_name("fastdds.xml")
# The same for a machine without room for the segments.
WITHOUT_SEGMENTS = """<?xml version="1.0" encoding="UTF-8"?>
<dds xmlns="http://www.eprosima.com">
  <profiles>
    <participant profile_name="emma" is_default_profile="true">
      <rtps></rtps>
    </participant>
  </profiles>
</dds>
"""
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
# Sixteen hexadecimal digits for a segment, decimal ones for a port.
SEGMENT_LOCKS = "fastdds_" + 16 * "[0-9a-f]" + LOCK_SUFFIX
PORT = "fastdds_port"
PORTS = f"{PORT}*"


@contextmanager
def profiles(environ: MutableMapping[str, str] | None = None, shared: Path = SHARED_MEMORY) -> Iterator[str]:
    """While the one participant of this process is made: name our profiles in `environ` (default: this process').

    Yields what they say, "" where a choice was made before. Not for a process with several contexts: each of them
    would ask for the same ports.
    """
    environ = os.environ if environ is None else environ
    if any(environ.get(name) for name in CHOSEN):
        yield ""
        return
    text = profile(next_participant(_domain(environ)), large=_room_for_segments(shared))
    with tempfile.NamedTemporaryFile("w", prefix="emma-fastdds-", suffix=".xml") as file:
        file.write(text)
        file.flush()
        environ[PROFILES_VARIABLE] = file.name
        try:
            yield text
        finally:
            # Children would find no such file.
            del environ[PROFILES_VARIABLE]


def profile(participant: int | None, *, large: bool) -> str:
    """The XML of one process. participant: its number in the domain, None for any; large: with segments for images."""
    text = PROFILES.read_text() if large else WITHOUT_SEGMENTS
    number = "" if participant is None else f"<participantID>{participant}</participantID>"
    return text.replace("<rtps>", f"<rtps>{number}")


def _domain(environ: Mapping[str, str]) -> int:
    text = environ.get("ROS_DOMAIN_ID", "")
    return int(text) if text.isdigit() else 0


def _room_for_segments(shared: Path) -> bool:
    try:
        remove_abandoned(shared)
        status = os.statvfs(shared)
    except OSError:
        return False
    return status.f_bavail * status.f_frsize >= NEEDED_BYTES


def remove_abandoned(shared: Path = SHARED_MEMORY) -> int:
    """Remove the segments and ports of killed processes, as `fastdds shm clean` does; returns how many.

    A living process holds a lock on `<segment>_el` or `<port>_el`; no other process takes 64 MiB back after a kill -9.
    """
    names = [lock.name.removesuffix(LOCK_SUFFIX) for lock in shared.glob(SEGMENT_LOCKS)]
    # A port that a publisher left behind has no lock; one that several may read (`_sl`) is left to Fast DDS.
    names += [port.name for port in shared.glob(PORTS) if port.name.removeprefix(PORT).isdigit()]
    return sum(_remove(shared / name) for name in names if not (shared / f"{name}_sl").exists())


def _remove(segment: Path) -> bool:
    lock = segment.with_name(segment.name + LOCK_SUFFIX)
    try:
        known = lock if lock.exists() else segment
        if time.time() - known.stat().st_mtime < YOUNG_S:
            return False
        with known.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            segment.unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
    except OSError:
        return False  # in use, gone in the meantime, or another user's
    return True
