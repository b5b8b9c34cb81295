"""Messages of groups: order, names, units and mimics, there and back."""

from types import SimpleNamespace

import numpy as np
import pytest
from two_arms import LEFT, RIGHT, two_arms

from emma.errors import EmmaError
from emma.robots.joint_messages import decode_command, encode_command, exact_motion, merge_states

POSITION = np.array([0.5, 1.0, np.pi / 6, 0.02])


def states(names: list[str], positions: list[float]) -> SimpleNamespace:
    return SimpleNamespace(name=names, position=positions)


def test_a_message_has_the_groups_order_units_and_mimics() -> None:
    spec = two_arms()
    np.testing.assert_allclose(encode_command(POSITION, spec, LEFT), [0.5, 1.0])
    # claw in 0..100, its mimic in metres, swing in degrees.
    np.testing.assert_allclose(encode_command(POSITION, spec, RIGHT), [40.0, -0.02 + 0.01, 30.0])


def test_what_is_sent_is_what_is_read() -> None:
    spec = two_arms()
    message = SimpleNamespace(data=encode_command(POSITION, spec, RIGHT))
    np.testing.assert_allclose(exact_motion(message, spec, RIGHT).positions[0], POSITION[[3, 2]])
    assert spec.led(RIGHT) == ("right_claw", "right_swing")
    assert decode_command(message, spec, RIGHT).dtype == np.float32


def test_states_of_each_topic_have_its_joints_in_the_specs_units() -> None:
    spec = two_arms()
    left, right = spec.state_topics
    assert left.joints == ("left_swing", "left_turn")
    values, _ = merge_states([states(["turn", "swing"], [1.0, 0.5])], spec, left)
    np.testing.assert_allclose(values, [0.5, 1.0])
    values, _ = merge_states([states(["claw", "swing"], [40.0, 30.0])], spec, right)
    np.testing.assert_allclose(values, [np.pi / 6, 0.02], rtol=1e-6)


@pytest.mark.parametrize("data", [[1.0, 2.0], [1.0, 2.0, np.nan]])
def test_numbers_that_do_not_fit_the_group_are_refused(data: list[float]) -> None:
    with pytest.raises(EmmaError, match="/right/positions"):
        exact_motion(SimpleNamespace(data=data), two_arms(), RIGHT)
