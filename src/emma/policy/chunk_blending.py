"""How one action chunk follows another, and which way a policy can."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from emma.errors import EmmaError
from emma.policy.joins import JOINS


@dataclass(frozen=True, kw_only=True)
class Previous:
    """What is left of the chunk in execution, seen from the new chunk's moment.

    actions: (n, J) absolute joint targets, the first for the observation's moment; delay: how many of them will have
    been executed before the new chunk can be used; horizon: actions that the new chunk is drawn towards.
    """

    actions: np.ndarray
    delay: int
    horizon: int = 10

    def __post_init__(self) -> None:
        if self.actions.ndim != 2 or len(self.actions) == 0:
            raise ValueError(f"previous actions are (n, J) with n above 0, not {self.actions.shape}")
        if self.delay < 0 or self.horizon < 0:
            raise ValueError(f"delay and horizon are 0 or more, not {self.delay} and {self.horizon}")


class Continues(Protocol):
    """What a runtime tells of continuing chunks; `emma.policy.runtime.PolicyRuntime` is one."""

    name: str

    @property
    def rtc(self) -> str: ...


def choose_join(wanted: str, runtime: Continues) -> str:
    """The join that `wanted` means for this runtime: its `rtc` is "trained", "guided" or empty.

    Raises EmmaError for an unknown join, and for rtc where the policy is no flow.
    """
    can = runtime.rtc
    if wanted not in JOINS:
        raise EmmaError(f"unknown join '{wanted}'", found=wanted, expected=f"one of {', '.join(JOINS)}")
    if wanted == "auto":
        return "rtc" if can == "trained" else "blend"
    if wanted == "rtc" and not can:
        raise EmmaError(
            "this policy cannot continue a chunk (real-time chunking)",
            found=f"runtime {runtime.name}, which cannot be given the previous chunk",
            expected="a flow policy, exported or of LeRobot's own real-time chunking",
            fix="join by blend or ensemble",
        )
    return wanted
