"""A gamepad through Linux' joystick interface (/dev/input/js*): sticks to axes of the tool, buttons to keys."""

import os
import select
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from emma.errors import EmmaError
from emma.teleop.jog import AXES
from emma.teleop.keys import SPACE

# struct js_event of linux/joystick.h: time in ms, value, type, number.
EVENT = struct.Struct("=IhBB")
BUTTON, AXIS, INITIAL = 0x01, 0x02, 0x80
FULL = 32767.0
DEVICES = Path("/dev/input")


@dataclass(frozen=True, kw_only=True)
class GamepadLayout:
    """Which stick moves what: for each of AXES the (stick axis, factor) pairs that add up; button -> key.

    A trigger rests at -1 and goes to 1: (axis, factor) of `triggers` count from 0. Default: the layout of the xpad
    driver; left stick x and y, right stick up and turn, triggers open and close.
    """

    sticks: tuple[tuple[int, float], ...] = ((1, -1.0), (0, -1.0), (4, -1.0), (3, -1.0))
    triggers: tuple[tuple[int, float], ...] = ((5, 1.0), (2, -1.0))
    buttons: dict[int, str] = field(default_factory=lambda: {0: "t", 1: "d", 2: "s", 3: "r", 6: "n", 7: SPACE, 5: "p"})
    dead_zone: float = 0.12


class Gamepad:
    """A context manager over one device. `read` gives pressed buttons as keys, `axes` the present deflection."""

    def __init__(self, path: Path | str | None = None, layout: GamepadLayout | None = None) -> None:
        """Raises EmmaError if there is no gamepad, or its device may not be read."""
        self.path = find_gamepad() if path is None else Path(path)
        self._layout = layout or GamepadLayout()
        self._sticks: dict[int, float] = {}
        self._rest = b""
        try:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise EmmaError(
                f"cannot read the gamepad {self.path}",
                found=error.strerror,
                expected="a joystick device",
                fix="add yourself to the group input, or connect it",
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def read(self, timeout_s: float) -> list[str]:
        """Wait up to `timeout_s` for news; the keys of buttons that went down. EOFError when it was unplugged."""
        if not select.select([self._fd], [], [], timeout_s)[0]:
            return []
        try:
            data = os.read(self._fd, 64 * EVENT.size)
        except BlockingIOError:
            return []
        except OSError as error:
            raise EOFError(f"the gamepad is gone: {error.strerror}") from None
        if not data:
            raise EOFError("the gamepad is gone")
        data = self._rest + data
        whole = len(data) - len(data) % EVENT.size
        self._rest = data[whole:]
        keys = []
        for _, value, kind, number in EVENT.iter_unpack(data[:whole]):
            if kind & ~INITIAL == AXIS:
                self._sticks[number] = max(value / FULL, -1.0)
            # The kernel says the state of every button once when the device is opened.
            elif kind == BUTTON and value and number in self._layout.buttons:
                keys.append(self._layout.buttons[number])
        return keys

    def axes(self) -> list[float]:
        """The deflection of the five axes, 0 within the dead zone and rising steadily from its edge."""
        values = [self._smooth(self._sticks.get(axis, 0.0) * factor) for axis, factor in self._layout.sticks]
        pulled = sum(factor * (self._sticks.get(axis, -1.0) + 1.0) / 2.0 for axis, factor in self._layout.triggers)
        axes = [*values, self._smooth(pulled)]
        assert len(axes) == len(AXES)
        return axes

    def _smooth(self, value: float) -> float:
        dead = self._layout.dead_zone
        if abs(value) <= dead:
            return 0.0
        return (value - dead if value > 0 else value + dead) / (1.0 - dead)


def find_gamepad(folder: Path = DEVICES) -> Path:
    """The first joystick device. Raises EmmaError if there is none."""
    found = sorted(folder.glob("js*")) if folder.is_dir() else []
    if not found:
        raise EmmaError(
            "no gamepad here",
            found=f"no {folder}/js*",
            expected="a connected gamepad",
            fix="connect one (a container must be given the device), or use --operator keyboard",
        )
    return found[0]
