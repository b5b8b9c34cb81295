"""What the recorder node says: its state on a topic, and what its services answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from emma.recording.stats import RecorderStats
from emma.records import Topic


@dataclass(frozen=True, kw_only=True)
class RecorderState(RecorderStats):
    """`~/state` of the recorder node.

    text: the status line; problems: what is wrong with streams and disk; lost: messages of this episode that the
    middleware lost, by topic; rates_hz: by topic; skew_s: between the cameras, None before all came; success: how the
    episode is marked; intervention: a person has the robot; unheard: topics that an episode needs and no message has
    come from; publishers: of every wanted topic, those that send to the recorder.
    """

    VERSION: ClassVar[int] = 1
    text: str = ""
    problems: tuple[str, ...] = ()
    lost: Mapping[str, int] = field(default_factory=dict)
    root: Path = Path()
    instruction: str = ""
    rates_hz: Mapping[str, float] = field(default_factory=dict)
    skew_s: float | None = None
    success: bool | None = None
    intervention: bool = False
    unheard: tuple[str, ...] = ()
    publishers: Mapping[str, int] = field(default_factory=dict)

    @property
    def recording(self) -> bool:
        return self.state != "idle"


@dataclass(frozen=True, kw_only=True)
class EpisodeBegun:
    """The answer of `~/start`. folder: the episode's bag."""

    VERSION: ClassVar[int] = 1
    episode: str
    folder: Path


@dataclass(frozen=True, kw_only=True)
class EpisodeEnded(EpisodeBegun):
    """The answer of `~/save` and `~/discard`. messages: in the bag; dropped: came and found the queue full; lost: by
    the middleware."""

    messages: int
    dropped: int
    lost: int


RECORDER_STATE = Topic("/recorder/state", RecorderState)
