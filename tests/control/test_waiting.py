"""A far target alone is no sign of an arm that does not follow."""

import numpy as np
import pytest

from emma.control.safety import SafetyFilter
from emma.control.tracking import TrackingGuard
from emma.robots.spec import load_robot

SPEC = load_robot("desk_arm")
HOME = np.array(SPEC.home)
REACH = TrackingGuard(SPEC).reach
# From one end of the first joints to the other takes a second and more at their full speed.
FAR = np.array([2.4, -1.6, -2.0, 2.6, -2.2, 3.0, 0.0])


def waits(lag_s: float, seconds: float = 1.5) -> list[bool]:
    """Whether the command waits, tick by tick, for an arm that is `lag_s` behind it, or stands still (infinite)."""
    safety = SafetyFilter(SPEC)
    safety.start(HOME)
    sent, found = [HOME], []
    late = round(lag_s * SPEC.control_rate_hz) if np.isfinite(lag_s) else 0
    for _ in range(round(seconds * SPEC.control_rate_hz)):
        measured = sent[max(0, len(sent) - 1 - late)] if late else HOME
        command = safety.step(FAR, within=(measured - REACH, measured + REACH))
        sent.append(command.position)
        found.append(command.waits)
    return found


@pytest.mark.parametrize("lag_s", [0.02, 0.1])
def test_an_arm_that_follows_at_full_speed_is_not_waited_for(lag_s: float) -> None:
    assert not any(waits(lag_s))


def test_an_arm_that_stands_still_is() -> None:
    found = waits(np.inf)
    assert all(found[-round(SPEC.control_rate_hz) :])
