"""A fixed rate on the monotonic clock: lateness measured, missed ticks counted, never a burst to catch up."""

import contextlib
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

# "/autogroup-11 nice 0": sched(7).
AUTOGROUP = Path("/proc/self/autogroup")


@dataclass(frozen=True, kw_only=True)
class Beat:
    """One tick. late_s: how long after its moment it began; missed: whole ticks that were skipped before it."""

    late_s: float
    missed: int


class Grid:
    """The moments that are due, one every `period_s` from `first_s` on (monotonic seconds).

    A beat up to `slack` periods late is run at once and the next ones stay on the grid, so short delays are made up;
    beyond that the missed beats are skipped and counted.
    """

    def __init__(self, period_s: float, first_s: float, *, slack: int = 1) -> None:
        self._period_s, self._slack = period_s, slack
        self.next_s = first_s

    def beat(self, now_s: float) -> Beat:
        """A beat begins at `now_s`, at or after `next_s`; moves on to the next moment."""
        late = now_s - self.next_s
        missed = int(late / self._period_s) if late >= self._slack * self._period_s else 0
        self.next_s += (missed + 1) * self._period_s
        return Beat(late_s=late, missed=missed)


class FixedRate:
    """Beats on a `Grid` every `period_s` on one thread, from now on."""

    def __init__(self, period_s: float, stop: threading.Event, *, slack: int = 1) -> None:
        self._grid = Grid(period_s, time.monotonic(), slack=slack)
        self._stop = stop

    @property
    def left_s(self) -> float:
        """Seconds until the next beat; below 0 when it is late."""
        return self._grid.next_s - time.monotonic()

    def wait(self) -> Beat | None:
        """Sleep until the next beat; None once stopped."""
        delay = self.left_s
        # Event.wait wakes up late by a scheduler's quantum under load; sleep is the more exact of the two.
        if delay > 0:
            time.sleep(delay)
        if self._stop.is_set():
            return None
        return self._grid.beat(time.monotonic())


def prefer_this_thread(priority: int = 20) -> bool:
    """Let the calling thread run before ordinary ones (SCHED_FIFO). False where the system does not allow it.

    Needs root, CAP_SYS_NICE or an rtprio limit, as ros2_control does; without, the thread stays an ordinary one.
    """
    try:
        os.sched_setscheduler(threading.get_native_id(), os.SCHED_FIFO, os.sched_param(priority))
    except OSError:
        return False
    return True


def prefer_this_process(nice: int = -10) -> bool:
    """Let all of this process run before ordinary ones; threads made later inherit it. False where that is not allowed.

    A thread that waits for the interpreter's lock is only as fast as the thread that holds it. A kernel that groups
    processes by session (sched_autogroup, on by default in most distributions) weighs the nice value only within one;
    a process that has a session to itself, as the nodes of a Graph have, lets the session come first as well.
    """
    try:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    except OSError:
        return False
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):  # a kernel without groups
            AUTOGROUP.write_text(str(nice))
    return True


def prefer_all_threads(priority: int = 10) -> bool:
    """Let every thread that this process has now run before ordinary ones (SCHED_RR), and those that it will have.

    Whoever holds the interpreter's lock, or a lock of the middleware, then gives it up soon, however busy the machine.
    Only for a process whose threads wait most of the time, and whose children step back by themselves: Python holds the
    interpreter's lock until a child has begun, so that has to be soon, too. False where the system does not allow it.
    """
    try:
        for thread in os.listdir("/proc/self/task"):
            if os.sched_getscheduler(int(thread)) == os.SCHED_OTHER:
                os.sched_setscheduler(int(thread), os.SCHED_RR, os.sched_param(priority))
    except OSError:
        return False
    return True
