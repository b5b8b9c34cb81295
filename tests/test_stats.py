"""The Wilson interval against published values (Wilson score without continuity correction)."""

import math

import pytest

from emma.stats import Rate


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605)],
)
def test_wilson(k, n, low, high):
    assert Rate(k, n).interval == pytest.approx((low, high), abs=1e-4)


def test_no_trials_is_not_a_number_and_not_an_error():
    assert math.isnan(Rate(0, 0).value)
    assert str(Rate(0, 0)) == "no trials"


def test_more_successes_than_trials_is_refused():
    with pytest.raises(ValueError, match="3 successes in 2"):
        Rate(3, 2)
