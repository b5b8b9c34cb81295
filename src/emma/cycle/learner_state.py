"""What the learner node says."""

from dataclasses import dataclass, field
from typing import ClassVar

from emma.control.policy_state import SwapPhase
from emma.cycle.state import State
from emma.records import Topic


@dataclass(frozen=True, kw_only=True)
class LearnerSwap:
    """The learner's latest change of policy. policy, previous: bundles; why: of a refusal; seconds: of loading; ticks,
    missed_ticks: of the control loop meanwhile."""

    policy: str = ""
    phase: SwapPhase = SwapPhase.NONE
    why: str = ""
    previous: str = ""
    seconds: float = 0.0
    ticks: int = 0
    missed_ticks: int = 0


@dataclass(frozen=True, kw_only=True)
class LearnerState(State):
    """`~/state` of the learner node: the cycle's, and the policy's. running: the bundle that the policy node runs;
    running_version: its number, 0 for none of the cycle's; problem: why the latest cycle did not begin, or ended."""

    VERSION: ClassVar[int] = 1
    running: str = ""
    running_version: int = 0
    swap: LearnerSwap = field(default_factory=LearnerSwap)
    problem: str = ""


LEARNER_STATE = Topic("/learner/state", LearnerState)
