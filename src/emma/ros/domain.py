"""A DDS domain that no other process of this machine uses, taken for as long as it is needed."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from emma.errors import EmmaError
from emma.ros.participant import PARTICIPANTS, participant_is_free

# Above 101 the domain's ports lie in Linux' range of ephemeral ports.
LAST_DOMAIN = 101


@contextmanager
def own_domain(wanted: int | None = None) -> Iterator[int]:
    """Yield a free domain id, or `wanted`; for the time being this process and its children stay on this machine.

    Sets ROS_DOMAIN_ID and ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST. Raises EmmaError if no domain is free.
    """
    with ExitStack() as stack:
        domain = _claim_any(stack) if wanted is None else wanted
        for name, value in (("ROS_DOMAIN_ID", str(domain)), ("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")):
            stack.callback(_restore, name, os.environ.get(name))
            os.environ[name] = value
        yield domain


def _claim_any(stack: ExitStack) -> int:
    start = os.getpid()
    for i in range(LAST_DOMAIN):
        domain = 1 + (start + i) % LAST_DOMAIN
        if _claim(domain, stack):
            return domain
    raise EmmaError(
        "no free ROS domain",
        found=f"1 to {LAST_DOMAIN} are in use",
        fix="end other ROS programs, or name one with --domain-id",
    )


def _claim(domain: int, stack: ExitStack) -> bool:
    """Lock the domain among programs of ours, and see that no other program listens in it."""
    file = stack.enter_context((Path(tempfile.gettempdir()) / f"emma-ros-domain-{domain}.lock").open("a"))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return all(participant_is_free(domain, participant) for participant in range(PARTICIPANTS))


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
