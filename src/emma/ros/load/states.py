"""What the load's own nodes say."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from emma.records import Topic


@dataclass(frozen=True, kw_only=True)
class LoadState:
    """`~/state` of the publisher. runs: that have ended; sent: messages of the latest run by topic; matched: how many
    subscribers every topic has at least; late_s: its own worst delay; skipped: not sent because it was held up."""

    VERSION: ClassVar[int] = 1
    running: bool
    runs: int
    sent: Mapping[str, int]
    matched: int
    mb_per_s: float
    late_s: float
    skipped: int


@dataclass(frozen=True, kw_only=True)
class CounterState:
    """`~/state` of the counter: messages received by topic."""

    VERSION: ClassVar[int] = 1
    received: Mapping[str, int]


LOAD_STATE = Topic("/load/state", LoadState)
COUNTER_STATE = Topic("/counter/state", CounterState)
