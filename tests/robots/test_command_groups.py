"""Groups, state topics and mimics in robot.yaml: read, and refused where they contradict each other."""

from pathlib import Path

import pytest

from emma.errors import EmmaError
from emma.robots.spec import load_robot

YAML = """
name: pair
joints:
  - {name: la, unit: rad, lower: -1, upper: 1, velocity: 1, acceleration: 2, message: {name: a}}
  - {name: ra, unit: rad, lower: -1, upper: 1, velocity: 1, acceleration: 2, message: {name: a, unit: degrees}}
  - {name: rg, unit: m, lower: 0, upper: 0.1, velocity: 1, acceleration: 2, message: {unit: ticks, at: [0, 255]}}
cameras: []
state_topic: /l/states
states:
  - {topic: /r/states, joints: [ra, rg], rate_hz: 125}
groups:
  - {name: left, topic: /l/trajectory, kind: joint_trajectory, joints: [la], rate_hz: 20}
  - {name: right, topic: /r/positions, kind: forward_position, joints: [ra, rg, rg2]}
mimics:
  - {name: rg2, joint: rg, multiplier: -1}
control_rate_hz: 50
fps: 10
"""


def load(folder: Path, text: str):  # type: ignore[no-untyped-def]
    file = folder / "robot.yaml"
    file.write_text(text)
    return load_robot(file)


def test_groups_states_and_units_are_read(tmp_path: Path) -> None:
    spec = load(tmp_path, YAML)
    assert spec.command.topic == "/l/trajectory"
    assert spec.command_topics == ("/l/trajectory", "/r/positions")
    assert [(state.topic, state.joints) for state in spec.state_topics] == [
        ("/l/states", ("la",)),
        ("/r/states", ("ra", "rg")),
    ]
    assert spec.joint("rg").scale == pytest.approx((0.1 / 255, 0.0))
    assert set(spec.topics()) == {"/l/states", "/r/states", "/l/trajectory", "/r/positions"}


def test_one_command_is_one_group_of_all_joints(tmp_path: Path) -> None:
    text = YAML[: YAML.index("groups:")] + "command: {topic: /all, kind: joint_state}\ncontrol_rate_hz: 50\nfps: 10\n"
    (group,) = load(tmp_path, text).command_groups
    assert group.joints == ("la", "ra", "rg")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("joints: [la], rate_hz: 20", "joints: [la, ra], rate_hz: 20", "ra more than once"),
        ("joints: [ra, rg, rg2]", "joints: [ra, rg2]", "every joint in one group"),
        ("joints: [ra, rg, rg2]", "joints: [ra, rg, other]", "every joint in one group"),
        ("name: right,", "name: left,", "left more than once"),
        ("topic: /r/positions", "topic: /l/trajectory", "/l/trajectory more than once"),
        ("joint: rg,", "joint: nothing,", "a joint to follow"),
        ("name: rg2, joint", "name: rg, joint", "not among `joints`"),
        ("joints: [ra, rg], rate_hz", "joints: [la, ra, rg], rate_hz", "all others are named elsewhere"),
        ("joints: [ra, rg], rate_hz", "joints: [ra, what], rate_hz", "names from joints"),
        ("joints: [ra, rg], rate_hz: 125", "joints: [rg], rate_hz: 125", "a more than once"),
        ("kind: forward_position", "kind: gripper_action", "one joint for kind gripper_action"),
        ("rate_hz: 20", "rate_hz: 0", "a rate in (0, 1000] Hz"),
        ("unit: degrees", "unit: hours", "a unit among"),
        ("unit: ticks, at: [0, 255]", "unit: ticks", "at: [value at the lower limit"),
        ("message: {name: a}}", "message: a}", "is not a mapping"),
        ("message: {name: a}}", "message: {nam: a}}", "unknown key joints[0].message.nam"),
        ("message: {name: a}}", "continuous: 3}", "true or false"),
        ("unit: m, lower: 0", "unit: m, continuous: true, lower: 0", "a joint in rad"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in YAML
    with pytest.raises(EmmaError) as refused:
        load(tmp_path, YAML.replace(old, new))
    assert words in str(refused.value)
    assert "robot.yaml" in str(refused.value)
