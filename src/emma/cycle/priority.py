"""Standing back: lowest share of the processor, the disk only when no other process wants it."""

import ctypes
import os
import signal
import sys

import psutil

from emma.cycle.config import PrioritySettings

_PR_SET_PDEATHSIG = 1


def stand_back(settings: PrioritySettings) -> None:
    """For this process and all that it starts from now on. Never raises a priority."""
    if os.getpriority(os.PRIO_PROCESS, 0) < settings.nice:
        os.setpriority(os.PRIO_PROCESS, 0, settings.nice)
    if settings.idle_io and sys.platform == "linux":
        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)


def die_with_parent(parent: int) -> None:
    """Be killed when the process `parent` ends, however it ends. Linux only: elsewhere it goes on to its own end.

    A process that is stopped gets SIGKILL all the same. Call it from the main thread.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the call
        os.kill(os.getpid(), signal.SIGKILL)
