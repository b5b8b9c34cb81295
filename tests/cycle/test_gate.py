"""Better or not, on trials whose answer is known."""

import math

import numpy as np
import pytest

from emma.cycle.config import GateSettings
from emma.cycle.gate import Trial, judge


def trials(before: list[float], after: list[float], group: str = "medium") -> list[Trial]:
    return [
        Trial(group=group, start=str(i), before=b, after=a) for i, (b, a) in enumerate(zip(before, after, strict=True))
    ]


def test_clearly_better_is_promoted() -> None:
    verdict = judge(trials([0.0] * 20, [1.0] * 12 + [0.0] * 8), GateSettings())
    assert verdict.promote
    assert verdict.gain == pytest.approx(0.6)
    assert verdict.interval[0] > 0.3
    assert verdict.groups["medium"]["won"] == 12


def test_the_same_policy_is_not_better() -> None:
    verdict = judge(trials([1.0, 0.0] * 20, [1.0, 0.0] * 20), GateSettings())
    assert not verdict.promote
    assert (verdict.gain, verdict.interval) == (0.0, (0.0, 0.0))


def test_a_few_lucky_starts_are_no_proof() -> None:
    """The bootstrap interval of five gains of 1 is 1 to 1; the test by changing sides knows that five is too few."""
    verdict = judge(trials([0.0] * 5, [1.0] * 5), GateSettings())
    assert not verdict.promote
    assert "take 6 starts or more" in verdict.reasons[0]
    assert judge(trials([0.0] * 6, [1.0] * 6), GateSettings()).promote


def test_gain_must_exceed_the_margin() -> None:
    mine = trials([0.0] * 40, [1.0] * 12 + [0.0] * 28)
    assert judge(mine, GateSettings(margin=0.05)).promote
    assert not judge(mine, GateSettings(margin=0.25)).promote


def test_what_is_guarded_must_not_get_worse() -> None:
    mine = trials([1.0] * 20, [1.0] * 18 + [0.0] * 2, "source") + trials([0.0] * 20, [1.0] * 20, "medium")
    verdict = judge(mine, GateSettings(allowed_drop=0.05))
    assert not verdict.promote
    assert verdict.reasons == ("source lost 0.100, more than 0.05",)
    assert judge(mine, GateSettings(allowed_drop=0.1)).promote
    assert judge(mine, GateSettings(guard=())).promote


def test_appearances_of_one_start_are_not_independent() -> None:
    """Four appearances that always agree say no more than one."""
    rng = np.random.default_rng(0)
    after = (rng.random(12) < 0.4).astype(float).tolist()
    before = (rng.random(12) < 0.2).astype(float).tolist()
    once = judge(trials(before, after, "a"), GateSettings())
    fourfold = judge([t for g in "abcd" for t in trials(before, after, g)], GateSettings())
    assert (fourfold.interval, fourfold.p) == (once.interval, once.p)


def test_equal_policies_pass_about_as_rarely_as_promised() -> None:
    rng = np.random.default_rng(1)
    passed = 0
    for i in range(200):
        before, after = (rng.random((2, 30)) < 0.5).astype(float)
        passed += judge(trials(list(before), list(after)), GateSettings(), seed=i).promote
    assert passed <= 12  # 2.5 % of 200 is 5; beyond 12 lies 1 in 1000


def test_errors_need_no_rates() -> None:
    verdict = judge(trials([-0.5] * 8, [-0.2] * 8, "real:recorded"), GateSettings(), rates=False)
    assert verdict.promote
    assert verdict.gain == pytest.approx(0.3)


def test_nothing_measured_is_nothing_promoted() -> None:
    verdict = judge([], GateSettings())
    assert not verdict.promote
    assert math.isnan(verdict.gain)
