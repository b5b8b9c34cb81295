"""What a policy loop reports of itself, and the record that the policy node publishes on `~/state`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from emma.control.controller import Mode
from emma.records import Topic


@dataclass(frozen=True, kw_only=True)
class LoopStatus:
    """One moment of a loop.

    reason: why it holds or stopped, in words. warnings: streams that are late, and what the
    policy's runtime notes, such as poses out of reach. clipped: limits that acted. ages_s:
    seconds since the newest sample of each stream. skew_s: between the cameras of the latest observation. problem: why
    observations cannot be made. inference_error: why the latest chunk was refused.
    """

    mode: Mode = Mode.DISABLED
    reason: str = ""
    warnings: tuple[str, ...] = ()
    clipped: tuple[str, ...] = ()
    ages_s: Mapping[str, float] = field(default_factory=dict)
    skew_s: float = 0.0
    problem: str = ""
    inference_error: str = ""
    instruction: str = ""


class SwapPhase(StrEnum):
    """How far the latest change of policy is."""

    NONE = "none"
    LOADING = "loading"
    WAITING = "waiting"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class SwapState:
    """The latest change of policy. number: counts them; why: of a refusal; seconds: of loading."""

    number: int = 0
    policy: str = ""
    phase: SwapPhase = SwapPhase.NONE
    why: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class PolicyState(LoopStatus):
    """`~/state` of the policy node.

    policy, runtime, runtime_reason: the bundle, what runs it and why. intervention: a person has the robot; resumes:
    the policy goes on when they give it back. listeners: subscriptions of the command topic. timings: percentiles in ms
    and counters; stats_seq counts their updates, one a second.
    """

    VERSION: ClassVar[int] = 2
    policy: str = ""
    runtime: str = ""
    runtime_reason: str = ""
    swap: SwapState = field(default_factory=SwapState)
    intervention: bool = False
    resumes: bool = False
    e_stop: bool = False
    listeners: int = 0
    timings: Mapping[str, float] = field(default_factory=dict)
    stats_seq: int = 0


POLICY_STATE = Topic("/policy/state", PolicyState)
