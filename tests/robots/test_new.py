"""A robot's folder from its description and from what was heard of its drivers."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stranger_arm import ARM, COMMAND_TOPIC, FINGER, PUBLISHED, RAW_CAMERA, STATE_TOPIC, urdf
from stranger_heard import SOURCE, TRAJECTORY, heard_of_the_stranger, traffic

from emma.errors import EmmaError
from emma.robots.describe import Source
from emma.robots.heard import JOINT_STATE, HeardJoints
from emma.robots.kinematics import Kinematics
from emma.robots.new import new_robot
from emma.robots.spec import load_robot


def test_everything_that_was_heard_is_in_the_spec(tmp_path: Path) -> None:
    made = new_robot("stranger", SOURCE, tmp_path / "stranger", heard=heard_of_the_stranger())
    spec = load_robot(tmp_path / "stranger")
    assert spec.joint_names == (*ARM, FINGER)
    assert spec.gripper == (FINGER,)
    assert (spec.state_topic, spec.state_rate_hz) == (STATE_TOPIC, 1000)
    assert (spec.command.topic, spec.command.kind) == (COMMAND_TOPIC, "joint_trajectory")
    raw, jpeg = spec.cameras
    assert (raw.name, raw.transport, raw.rate_hz, raw.info_topic) == (
        "overview",
        "raw",
        30,
        f"{RAW_CAMERA}/camera_info",
    )
    assert (jpeg.name, jpeg.transport, jpeg.info_topic) == ("palm_view", "compressed", None)
    assert (tmp_path / "stranger" / "overview.yaml").is_file()
    assert any("heard at 998 Hz, in another order" in line for line in made.taken)
    assert any("acceleration" in question for question in made.questions)
    assert not any(question.startswith(("state_topic", "command")) for question in made.questions)


def test_the_written_model_moves_the_tool(tmp_path: Path) -> None:
    spec = new_robot("stranger", SOURCE, tmp_path / "stranger").spec
    kinematics = Kinematics.of(spec)
    pose = kinematics.forward(np.zeros(len(spec.joints)))["tool"]
    np.testing.assert_allclose(pose[:3, 3], [0, 0, 7 * 0.12 + 0.15], atol=1e-9)


def test_without_drivers_everything_that_is_not_known_is_a_question(tmp_path: Path) -> None:
    made = new_robot("stranger", SOURCE, tmp_path / "stranger")
    text = " ".join(made.questions)
    for word in ("acceleration", "home", "state_topic", "command", "cameras", "kinematics"):
        assert word in text


def test_placeholder_velocities_are_not_believed(tmp_path: Path) -> None:
    fast = Source(where="arm.urdf", text=urdf().replace('velocity="1.5"', 'velocity="1000"'))
    made = new_robot("fast", fast, tmp_path / "fast")
    assert made.spec.joints[0].velocity == 2.0
    assert any("looks like no real limit" in question for question in made.questions)


def test_names_that_differ_by_a_prefix_become_message_names(tmp_path: Path) -> None:
    heard = heard_of_the_stranger()
    names = tuple(f"left/{name}" for name in PUBLISHED)
    heard = replace(heard, joints={STATE_TOPIC: (HeardJoints(names=names, positions=(0.0,) * len(names)),)})
    spec = new_robot("stranger", SOURCE, tmp_path / "stranger", heard=heard).spec
    assert spec.joints[0].message_name == "left/axis_a"


def test_two_controllers_that_share_the_joints_become_groups(tmp_path: Path) -> None:
    heard = heard_of_the_stranger()
    listened = traffic(TRAJECTORY, 0.0, publishers=(), subscribers=("/hand",), count=0)
    numbers = replace(listened, type="std_msgs/msg/Float64MultiArray")
    heard = replace(
        heard,
        traffic={**heard.traffic, "/hand_controller/commands": numbers},
        controllers={COMMAND_TOPIC: ARM, "/hand_controller/commands": (FINGER,)},
    )
    spec = new_robot("stranger", SOURCE, tmp_path / "stranger", heard=heard).spec
    assert {group.topic: (group.kind, group.joints) for group in spec.groups} == {
        COMMAND_TOPIC: ("joint_trajectory", ARM),
        "/hand_controller/commands": ("forward_position", (FINGER,)),
    }


def test_two_arms_whose_drivers_use_the_same_names_become_two_state_topics(tmp_path: Path) -> None:
    arm = urdf().partition("<robot")[2].partition(">")[2].rpartition("</robot>")[0]
    sides = [re.sub(r'(name|link|joint)="', rf'\1="{side}_', arm) for side in ("left", "right")]
    world = "".join(
        f'<joint name="{side}_fix" type="fixed"><parent link="world"/><child link="{side}_pedestal"/></joint>'
        for side in ("left", "right")
    )
    text = f'<robot name="pair"><link name="world"/>{"".join(sides)}{world}</robot>'
    heard = heard_of_the_stranger()
    states = HeardJoints(names=PUBLISHED, positions=(45.0,) * len(PUBLISHED))
    heard = replace(
        heard,
        traffic={f"/{side}/states": traffic(JOINT_STATE, 100.0) for side in ("left", "right")},
        joints={f"/{side}/states": (states,) for side in ("left", "right")},
    )
    made = new_robot("pair", Source(where="pair.urdf", text=text), tmp_path / "pair", heard=heard)
    left, right = made.spec.state_topics
    assert (left.topic, right.topic) == ("/left/states", "/right/states")
    assert right.joints == tuple(f"right_{name}" for name in (*ARM, FINGER))
    assert made.spec.joint("right_axis_a").message_name == "axis_a"
    assert made.spec.joint("right_axis_a").message.unit == "degrees"
    assert any("look like degrees" in question for question in made.questions)
    assert made.spec.kinematics is not None
    assert [tool.name for tool in made.spec.kinematics.tools] == ["left", "right"]


def test_two_robots_with_the_same_joint_names_are_told_apart_by_a_person(tmp_path: Path) -> None:
    heard = heard_of_the_stranger()
    other = {"/other/states": heard.traffic[STATE_TOPIC]}
    heard = replace(
        heard, traffic={**heard.traffic, **other}, joints={**heard.joints, "/other/states": heard.joints[STATE_TOPIC]}
    )
    with pytest.raises(EmmaError, match="the same joints are published on several topics"):
        new_robot("stranger", SOURCE, tmp_path / "stranger", heard=heard)
    assert not (tmp_path / "stranger").exists()
    made = new_robot("stranger", SOURCE, tmp_path / "stranger", heard=heard, state_topic=STATE_TOPIC)
    assert made.spec.state_topic == STATE_TOPIC


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        (urdf(), "no name", "a robot's name is a word"),
        (urdf().replace('lower="-2.6"', ""), "ok", ""),
        (urdf().replace("<limit", "<nolimit"), "bad", "joints without limits"),
        (urdf().replace("<box size", '<mesh filename="package://gone/a.stl" size'), "bad", "meshes cannot be found"),
    ],
)
def test_nothing_is_left_of_a_robot_that_was_refused(tmp_path: Path, text: str, name: str, words: str) -> None:
    source = Source(where="arm.urdf", text=text, path=tmp_path / "arm.urdf")
    if not words:
        assert new_robot(name, source, tmp_path / "robots" / name).spec.joints[0].lower == 0.0
        return
    with pytest.raises(EmmaError) as refused:
        new_robot(name, source, tmp_path / "robots" / name)
    assert words in str(refused.value)
    assert not list(tmp_path.rglob("*robot.yaml"))


def test_meshes_that_are_not_there_can_be_left_out(tmp_path: Path) -> None:
    text = urdf().replace("<box size", '<mesh filename="package://gone/a.stl" size')
    made = new_robot("bare", Source(where="arm.urdf", text=text), tmp_path / "bare", with_meshes=False)
    assert "mesh" not in (made.spec.folder / "robot.urdf").read_text().replace("meshdir", "").replace('"meshes"', "")


def test_what_a_person_answered_is_not_overwritten(tmp_path: Path) -> None:
    new_robot("stranger", SOURCE, tmp_path / "stranger")
    with pytest.raises(EmmaError, match="exists"):
        new_robot("stranger", SOURCE, tmp_path / "stranger")


def test_an_mjcf_with_passive_joints_and_a_site(tmp_path: Path) -> None:
    file = tmp_path / "arm.xml"
    file.write_text(
        """<mujoco><worldbody><body name="one"><joint name="swing" range="-90 90"/><geom size=".1"/>
        <body name="two"><joint name="claw_slide" type="slide" range="0 0.04"/><geom size=".1"/>
        <site name="pinch" pos="0 0 .1"/></body>
        <body name="three"><joint name="loose" range="-10 10"/><geom size=".1"/></body></body></worldbody>
        <actuator><position joint="swing"/><position joint="claw_slide"/></actuator></mujoco>"""
    )
    made = new_robot("small", Source(where=str(file), path=file), tmp_path / "small")
    assert made.spec.joint_names == ("swing", "claw_slide")
    assert made.spec.joints[0].upper == pytest.approx(np.pi / 2)
    assert any("loose" in note for note in made.notes)
