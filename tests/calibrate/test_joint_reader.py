"""Joints of a chain out of JointStates as drivers publish them."""

from types import SimpleNamespace

import numpy as np
import pytest

from emma.calibrate.joint_reader import JointReader
from emma.robots.spec import Command, Joint, MessageForm, RobotSpec, StateTopic


def spec(**changes) -> RobotSpec:
    joint = {"unit": "rad", "lower": -3.0, "upper": 3.0, "velocity": 1.0, "acceleration": 1.0}
    return RobotSpec(
        name="arm",
        joints=(
            Joint(name="a", **joint, message=MessageForm(name="pan", unit="degrees")),
            Joint(name="b", **joint, continuous=True),
            Joint(name="c", **joint),
        ),
        cameras=(),
        state_topic="/arm",
        command=Command(topic="/c", kind="joint_trajectory"),
        control_rate_hz=50,
        fps=25,
        **changes,
    )


def message(names: list[str], positions: list[float]) -> SimpleNamespace:
    return SimpleNamespace(name=names, position=positions)


def test_names_and_units_are_those_of_the_driver() -> None:
    reader = JointReader(spec(), ("a", "b"))
    for i in range(4):
        reader.push("/arm", message(["b", "c", "pan"], [0.1 * i, 9.0, 90.0]), 0.1 * i)
    assert reader.reach(0.35)
    assert not reader.reach(0.6)
    assert reader.track().joints == pytest.approx(np.column_stack([np.full(4, np.pi / 2), 0.1 * np.arange(4)]))


def test_joints_of_several_topics_and_messages_are_joined() -> None:
    reader = JointReader(spec(states=(StateTopic(topic="/wrist", joints=("c",)),)), ("a", "c"))
    assert reader.topics == ("/arm", "/wrist")
    reader.push("/arm", message(["pan"], [0.0]), 0.0)
    assert not reader.ready
    for i in range(3):
        reader.push("/wrist", message(["c"], [float(i)]), 0.1 + i)
        reader.push("/arm", message(["b"], [5.0]), 0.1 + i)
    assert reader.track().joints == pytest.approx(np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 2.0]]))


def test_an_angle_that_is_counted_within_a_turn_does_not_jump() -> None:
    reader = JointReader(spec(), ("b",))
    for i, angle in enumerate((3.0, 3.1, -3.1, -3.0)):
        reader.push("/arm", message(["b"], [angle]), float(i))
    assert np.abs(np.diff(reader.track().joints[:, 0])).max() < 0.2
