"""What the teleop node says."""

from dataclasses import dataclass
from typing import ClassVar

from emma.records import Topic
from emma.teleop.teleop import Phase


@dataclass(frozen=True, kw_only=True)
class TeleopState:
    """`~/state` of the teleop node. note: what the person should know of the device; problem: why it does not drive."""

    VERSION: ClassVar[int] = 1
    state: Phase
    device: str
    note: str = ""
    problem: str = ""


TELEOP_STATE = Topic("/teleop/state", TeleopState)
