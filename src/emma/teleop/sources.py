"""Where keys and axes come from: a keyboard in a terminal, or a gamepad."""

import time
from typing import Protocol, Self

from emma.teleop.keys import HeldKeys
from emma.teleop.terminal import TerminalKeys


class KeySource(Protocol):
    """A context manager over something with keys."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def read(self, timeout_s: float) -> list[str]:
        """The keys pressed by now that move nothing; waits up to `timeout_s` for one. EOFError when it is gone."""
        ...

    def axes(self) -> list[float]:
        """The present deflection of the five axes of `jog.AXES`, each in [-1, 1]."""
        ...


class Keyboard:
    """A terminal whose arrows and letters move the tool while they are held down."""

    def __init__(self, fd: int | None = None) -> None:
        self._terminal = TerminalKeys(fd)
        self._held = HeldKeys()

    def __enter__(self) -> Self:
        self._terminal.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._terminal.__exit__(*error)

    def read(self, timeout_s: float) -> list[str]:
        """See `KeySource`."""
        keys = self._terminal.read(timeout_s)
        return [key for key in keys if not self._held.press(key, time.monotonic())]

    def axes(self) -> list[float]:
        """See `KeySource`."""
        return self._held.axes(time.monotonic())
