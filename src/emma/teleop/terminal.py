"""A terminal that gives every key at once, and is as it was afterwards."""

import atexit
import contextlib
import os
import select
import signal
import sys
import termios
import threading
import tty
from types import FrameType
from typing import Self

from emma.errors import EmmaError
from emma.interrupts import restored_by
from emma.teleop.keys import KeyParser

# The bytes of one escape sequence come together; a lone escape is followed by nothing for longer than this.
ESCAPE_S = 0.05


class TerminalKeys:
    """A context manager. Keys come without Enter and are not echoed; Ctrl+C and Ctrl+Z keep their meaning.

    The terminal is restored at the end of the block, at the exit of the interpreter and on SIGTERM and SIGHUP, which
    end the block as Ctrl+C does; after Ctrl+Z and `fg` the keys work again. Only SIGKILL leaves it as it is: `reset`.
    """

    def __init__(self, fd: int | None = None) -> None:
        self._fd = sys.stdin.fileno() if fd is None else fd
        self._parser = KeyParser()
        self._before: list | None = None
        self._handlers: dict[int, object] = {}
        # Of a process that is ended because it does not end.
        self._forced = restored_by(self.restore)

    def __enter__(self) -> Self:
        if not os.isatty(self._fd):
            raise EmmaError(
                "no keyboard here",
                found="standard input is not a terminal",
                expected="a terminal",
                fix="start it in a terminal window, or use the recorder's services",
            )
        self._before = termios.tcgetattr(self._fd)
        atexit.register(self.restore)
        self._forced.__enter__()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGHUP):
                self._handlers[number] = signal.signal(number, _interrupt)
            self._handlers[signal.SIGCONT] = signal.signal(signal.SIGCONT, self._continued)
        tty.setcbreak(self._fd)
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._handlers.clear()
        self._forced.__exit__(None, None, None)
        atexit.unregister(self.restore)

    def restore(self) -> None:
        """Give the terminal back as it was; keys that were typed and not read are dropped. Does no harm twice."""
        if self._before is not None:
            # A terminal that was closed has nothing to restore.
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._fd, termios.TCSAFLUSH, self._before)
            self._before = None

    def read(self, timeout_s: float) -> list[str]:
        """The keys pressed by now; waits up to `timeout_s` for the first. Raises EOFError when the terminal is gone."""
        if not select.select([self._fd], [], [], timeout_s)[0]:
            self._parser.flush()
            return []
        keys = self._parser.feed(self._bytes())
        while not keys and select.select([self._fd], [], [], ESCAPE_S)[0]:
            keys = self._parser.feed(self._bytes())
        return keys

    def _bytes(self) -> bytes:
        try:
            data = os.read(self._fd, 1024)
        except OSError:
            # What Linux says of a pseudo-terminal whose other end was closed.
            data = b""
        if not data:
            raise EOFError("the terminal is gone")
        return data

    def _continued(self, _number: int, _frame: FrameType | None) -> None:
        if self._before is not None:
            tty.setcbreak(self._fd)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
