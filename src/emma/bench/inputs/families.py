"""Damaged inputs in families: what each attempt must tell, and the clock that ends one that hangs."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

# A damaged input of a second's length takes milliseconds; on a busy machine, a second.
HANG_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What one damaged input led to.

    damage: what was done to it; traceback: an error that is no EmmaError, "" for none; silent: the result differs from
    the truth and nothing reports it; unprotected: the same, but the report states that the input has no checksums;
    lost: what could be read before a repair and not after it; refused: no result, with a reason.
    """

    damage: str
    traceback: str = ""
    silent: bool = False
    unprotected: bool = False
    lost: int = 0
    refused: bool = False
    hang: bool = False


@dataclass(frozen=True, kw_only=True)
class Family:
    """Inputs of one form.

    attempts: of a full run; prepare(folder): makes the whole input in an empty folder, returns what `attempt` compares
    with; attempt(folder, scratch, truth, chance): damages a copy of it in the empty folder `scratch`, and uses it.
    """

    name: str
    attempts: int
    prepare: Callable[[Path], Any]
    attempt: Callable[[Path, Path, Any, Random], Attempt]


class Hang(BaseException):
    """Not an Exception: whatever catches those must not catch this."""


@contextmanager
def ends_within(seconds: float = HANG_S) -> Iterator[None]:
    """Raise Hang in the block after so many seconds. For the main thread."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def damage_file(file: Path, name: object, chance: Random, lost: float) -> str:
    """Damage `file`, or remove it with the probability `lost`; what was done, the file called `name`."""
    if chance.random() < lost:
        file.unlink()
        return f"{name}: removed"
    what, data = flipped(file.read_bytes(), chance)
    file.write_bytes(data)
    return f"{name}: {what}"


def flipped(data: bytes, chance: Random) -> tuple[str, bytes]:
    """`data` with one kind of damage, and what it was: bits, runs of bytes, cuts, insertions, pieces that moved."""
    if not data:
        return "nothing", data
    kind = chance.choice(("bit", "bit", "bit", "byte", "noise", "zeros", "cut", "delete", "insert", "repeat", "swap"))
    at = chance.randrange(len(data))
    length = min(len(data) - at, chance.choice((1, 4, 16, 200, 4096)))
    piece = data[at : at + length]
    if kind == "bit":
        piece = bytes([data[at] ^ 1 << chance.randrange(8)])
        return f"bit at {at}", data[:at] + piece + data[at + 1 :]
    if kind == "byte":
        return f"byte at {at}", data[:at] + chance.randbytes(1) + data[at + 1 :]
    if kind == "noise":
        return f"{length} random bytes at {at}", data[:at] + chance.randbytes(length) + data[at + length :]
    if kind == "zeros":
        return f"{length} zeros at {at}", data[:at] + bytes(length) + data[at + length :]
    if kind == "cut":
        return f"cut at {at}", data[:at]
    if kind == "delete":
        return f"{length} bytes deleted at {at}", data[:at] + data[at + length :]
    if kind == "insert":
        return f"{length} bytes inserted at {at}", data[:at] + chance.randbytes(length) + data[at:]
    if kind == "repeat":
        return f"{length} bytes repeated at {at}", data[:at] + piece + data[at:]
    other = chance.randrange(len(data))
    low, high = min(at, other), max(at, other)
    return f"parts swapped at {low} and {high}", data[:low] + data[high:] + data[low:high]
