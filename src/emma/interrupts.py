"""How a process ends on SIGINT and SIGTERM: at any moment, within two seconds, with one line and exit code 128 + n.

Python runs a signal handler in the main thread and between two of its instructions. A training step, an export or a
library under import may keep it from that for minutes. So a thread of its own hears of each signal through a pipe
(`signal.set_wakeup_fd`), leaves the process `GRACE_S` to end in order, and then ends it.

Standard library only: `emma.environment` begins with this, before anything slow is imported.
"""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType

NUMBERS = (signal.SIGINT, signal.SIGTERM)
# For an orderly end. What is left of two seconds is for a machine that is busy.
GRACE_S = 1.5
# Set for a child whose standard input is a pipe from its parent: end of file means that the parent is gone.
STOP_WITH_PARENT = "EMMA_STOP_WITH_PARENT"
# Set by `tied`: the process whose death ends this one.
TIED_TO = "EMMA_TIED_TO"
LOOK_S = 0.02
_PR_SET_PDEATHSIG = 1

Answer = Callable[[int], None]


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM came. number: which."""

    def __init__(self, number: int) -> None:
        super().__init__(signal_name(number))
        self.number = number


class _Process:
    """What this process does about a signal; there is one."""

    def __init__(self) -> None:
        self.title = "emma"
        self.guarded = False
        # The first signal, 0 before one came, and when it came.
        self.came, self.came_s = 0, 0.0
        self.grace_s = 0.0
        self.patient_until_s = 0.0
        self.answer: Answer = end_now
        self.kept: Callable[[], str] = lambda: ""
        self.restores: list[Callable[[], None]] = []
        self.raised = self.said = False
        self.ending = threading.Lock()


def begin(title: str) -> None:
    """Be guarded from now on; a signal ends the process at once, as nothing is begun. Main thread only, repeatable.

    title: the first word of the last line. With STOP_WITH_PARENT set, the death of the parent counts as SIGTERM.
    """
    titled(title)
    if _process.guarded:
        return
    _process.guarded = True
    _process.answer, _process.grace_s = end_now, 0.0
    hears, tells = os.pipe()
    for descriptor in (hears, tells):
        os.set_blocking(descriptor, descriptor == hears)
    signal.set_wakeup_fd(tells, warn_on_full_buffer=False)
    # Explicitly: whoever starts this in the background of a script passes SIGINT on as ignored.
    for number in NUMBERS:
        signal.signal(number, _on_signal)
    threading.Thread(target=_guard, args=(hears,), name="interrupts", daemon=True).start()
    # What this process starts has another standard input.
    if os.environ.pop(STOP_WITH_PARENT, ""):
        threading.Thread(target=_watch_parent, name="parent", daemon=True).start()
    if parent := os.environ.pop(TIED_TO, ""):
        _follow(int(parent))


def tied(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` for a child that ends when the calling thread does, by whatever, once it has called `begin`.

    For a child whose standard input is not a pipe from here (STOP_WITH_PARENT). Linux only.
    """
    return {**environ, TIED_TO: str(os.getpid())}


def titled(title: str) -> None:
    """Begin the last line with `title`."""
    _process.title = title


def came() -> int:
    """The first signal that asked this process to end; 0 if none did."""
    return _process.came


def exit_code(error: KeyboardInterrupt | None = None) -> int:
    """128 + the number of the signal behind `error`, or of the one that came."""
    return 128 + (error.number if isinstance(error, Interrupted) else _process.came or signal.SIGINT)


def signal_name(number: int) -> str:
    """SIGINT for 2."""
    return signal.Signals(number).name


@contextmanager
def answering(answer: Answer, grace_s: float = GRACE_S) -> Iterator[None]:
    """Let `answer(number)` hear of signals while the block runs, with `grace_s` from a signal to the forced end.

    answer: called in the main thread, and in a nested call if signals follow each other; it takes no lock. Outside the
    main thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = (_process.answer, _process.grace_s)
    handlers = {} if _process.guarded else {number: signal.signal(number, _on_signal) for number in NUMBERS}
    if not _process.guarded:
        _process.came, _process.raised, _process.said = 0, False, False
    _process.answer, _process.grace_s = answer, grace_s
    try:
        yield
    finally:
        _process.answer = before[0]
        if not _process.came:
            _process.grace_s = before[1]
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def raising() -> Iterator[None]:
    """SIGINT and SIGTERM raise Interrupted while the block runs; where the guard is at work, the first of them only."""

    def answer(number: int) -> None:
        # A second one would cut short what tidies up; the guard ends a process that takes too long.
        if not (_process.guarded and _process.raised):
            _process.raised = True
            raise Interrupted(number)

    with answering(answer):
        yield


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """The block may take up to `seconds` although a signal came: it ends other processes, or finishes a file."""
    before, _process.patient_until_s = _process.patient_until_s, time.monotonic() + seconds
    try:
        yield
    finally:
        _process.patient_until_s = max(before, time.monotonic() + GRACE_S)


@contextmanager
def keeping(what: Callable[[], str]) -> Iterator[None]:
    """`what()` says in the last line what is on the disk, if the block is cut short."""
    before, _process.kept = _process.kept, what
    try:
        yield
    finally:
        _process.kept = before


@contextmanager
def restored_by(restore: Callable[[], None]) -> Iterator[None]:
    """Call `restore`, from another thread, if the block is cut short."""
    _process.restores.append(restore)
    try:
        yield
    finally:
        _process.restores.remove(restore)


def last_line(number: int) -> str:
    """That a signal ends this process, and what it keeps; "" if this was asked for before, as it is printed once."""
    if _process.said:
        return ""
    _process.said = True
    kept = ""
    with suppress(Exception):
        kept = _process.kept()
    return f"{_process.title}: ended by {signal_name(number)}{'; ' if kept else ''}{kept}\n"


def end_now(number: int) -> None:
    """End this process: one line, exit code 128 + number. What it has open is left as after a kill."""
    if not _process.ending.acquire(blocking=False):
        return  # another thread is at it
    for restore in _process.restores:
        with suppress(Exception):
            restore()
    # Whoever holds the buffer's lock may be waiting for a reader that is gone.
    flush = threading.Thread(target=_flush, daemon=True)
    flush.start()
    flush.join(0.2)
    with suppress(OSError):
        os.write(2, last_line(number).encode())
    os._exit(128 + number)


def _flush() -> None:
    with suppress(Exception):
        sys.stdout.flush()


def _on_signal(number: int, _frame: FrameType | None) -> None:
    _process.came = _process.came or number
    _process.answer(number)


def _guard(hears: int) -> None:
    number = 0
    while number not in NUMBERS:
        number = os.read(hears, 1)[0]
    _process.came, _process.came_s = _process.came or number, time.monotonic()
    while time.monotonic() < max(_process.came_s + _process.grace_s, _process.patient_until_s):
        time.sleep(LOOK_S)
    end_now(number)


def _watch_parent() -> None:
    poll = select.poll()
    poll.register(0, select.POLLHUP | select.POLLIN)
    poll.poll()
    os.kill(os.getpid(), signal.SIGTERM)


def _follow(parent: int) -> None:
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the call
        os.kill(os.getpid(), signal.SIGTERM)


def end_with_parent() -> None:
    """In a process that `multiprocessing` started: end when its parent does, however that ends. SIGINT is the parent's.

    Nothing is saved: two runs must never work on the same files.
    """
    from multiprocessing import connection, parent_process

    # Ctrl+C reaches all processes of a terminal; the parent decides, and ends its workers in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is None:
        return

    def wait() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=wait, name="parent", daemon=True).start()


_process = _Process()
