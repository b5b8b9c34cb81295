"""Units of messages: every conversion is a line through what is published at the two limits."""

import math

import pytest

from emma.robots.units import MessageForm


@pytest.mark.parametrize(
    ("form", "published", "position"),
    [
        (MessageForm(), 0.5, 0.5),
        (MessageForm(unit="degrees"), 90.0, math.pi / 2),
        (MessageForm(unit="range_m100_100"), -100.0, -1.0),
        (MessageForm(unit="range_m100_100"), 0.0, 0.5),
        (MessageForm(unit="range_0_100"), 100.0, 2.0),
        (MessageForm(unit="ticks", at=(1000.0, 3000.0)), 2000.0, 0.5),
        (MessageForm(unit="ticks", at=(3000.0, 1000.0)), 3000.0, -1.0),
        (MessageForm(unit="degrees", at=(0.0, 180.0)), 60.0, 0.0),
    ],
)
def test_published_values_become_positions(form: MessageForm, published: float, position: float) -> None:
    a, b = form.scale("rad", -1.0, 2.0)
    assert a * published + b == pytest.approx(position)


def test_millimetres() -> None:
    assert MessageForm(unit="mm").scale("m", 0.0, 0.1) == (1e-3, 0.0)


@pytest.mark.parametrize(
    ("form", "unit"),
    [
        (MessageForm(unit="furlongs"), "rad"),
        (MessageForm(unit="ticks"), "rad"),
        (MessageForm(unit="mm"), "rad"),
        (MessageForm(unit="degrees"), "m"),
        (MessageForm(unit="ticks", at=(5.0, 5.0)), "rad"),
        (MessageForm(at=(5.0,)), "rad"),
    ],
)
def test_what_is_no_conversion_is_refused(form: MessageForm, unit: str) -> None:
    with pytest.raises(ValueError, match=r"unit|at:"):
        form.scale(unit, 0.0, 1.0)
