"""A number for this process among the DDS participants of its domain that no other process had of late.

Fast DDS numbers its ports by it. For 20 s after a kill -9 the publishers write on to the dead process' shared memory
port, and remove and make it anew with each message. A process started meanwhile would by default take the same number,
hence the same port, and might listen to one that no process writes to. So numbers are given out in turn.
"""

import fcntl
import os
import socket
import tempfile
from pathlib import Path

# The ports of a domain in the DDS-RTPS standard: 7400 + 250 * domain; participant n has 10 + 2 n and 11 + 2 n after it.
FIRST_PORT, PORTS_PER_DOMAIN, FIRST_UNICAST = 7400, 250, 10
# As many find each other without multicast, whatever profiles they have: rmw_fastrtps asks for this range.
PARTICIPANTS = 32


def participant_is_free(domain: int, participant: int) -> bool:
    """Whether no process of this machine listens on the UDP ports of this participant."""
    for offset in (0, 1):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", FIRST_PORT + PORTS_PER_DOMAIN * domain + FIRST_UNICAST + 2 * participant + offset))
            except OSError:
                return False
    return True


def next_participant(domain: int, folder: Path | None = None) -> int | None:
    """The free participant number whose turn it is; None if there is none, and then Fast DDS shall choose.

    `folder` (default: that of temporary files) remembers the last one given out to each user.
    """
    file = (folder or Path(tempfile.gettempdir())) / f"emma-ros-participant-{os.getuid()}-{domain}"
    try:
        with file.open("a+") as memory:
            fcntl.flock(memory, fcntl.LOCK_EX)
            memory.seek(0)
            chosen = _free_after(domain, _number(memory.read()))
            if chosen is not None:
                memory.truncate(0)
                memory.write(str(chosen))
            return chosen
    except OSError:
        # A full or foreign folder: process ids come in turn as well.
        return _free_after(domain, os.getpid() % PARTICIPANTS)


def _free_after(domain: int, last: int) -> int | None:
    turns = ((last + 1 + i) % PARTICIPANTS for i in range(PARTICIPANTS))
    return next((participant for participant in turns if participant_is_free(domain, participant)), None)


def _number(text: str) -> int:
    return int(text) if text.isdigit() else -1
