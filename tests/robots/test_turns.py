"""Joints without end: unwrapped on the way in, wound back on the way out."""

import numpy as np
from two_arms import two_arms

from emma.robots.turns import Turns

PI = np.pi


def state(turn: float) -> np.ndarray:
    return np.array([0.1, turn, 0.2, 0.03])


def test_a_driver_that_wraps_is_followed_across_the_seam() -> None:
    turns = Turns(two_arms())
    for angle in np.arange(0.0, 9.0, 0.1):
        wrapped = (angle + PI) % (2 * PI) - PI
        np.testing.assert_allclose(turns.unwrap(state(wrapped)), state(angle), atol=1e-9)
    # What is commanded near 8.9 goes out near what the driver publishes.
    np.testing.assert_allclose(turns.wind(state(9.0)), state(9.0 - 2 * PI), atol=1e-9)


def test_a_driver_that_counts_on_starts_in_the_turn_of_home() -> None:
    turns = Turns(two_arms())
    np.testing.assert_allclose(turns.unwrap(state(0.5 + 6 * PI)), state(0.5), atol=1e-9)
    np.testing.assert_allclose(turns.wind(state(0.6)), state(0.6 + 6 * PI), atol=1e-9)


def test_commands_are_read_in_the_turn_of_the_state() -> None:
    turns = Turns(two_arms())
    turns.unwrap(state(3.0))
    turns.unwrap(state(-3.1))
    np.testing.assert_allclose(turns.beside(state(-3.0)), state(2 * PI - 3.0), atol=1e-9)
    turns.forget()
    np.testing.assert_allclose(turns.unwrap(state(-3.1)), state(-3.1), atol=1e-9)


def test_other_joints_are_never_touched() -> None:
    far = np.array([100.0, 0.0, -100.0, 50.0])
    np.testing.assert_array_equal(Turns(two_arms()).unwrap(far), far)
