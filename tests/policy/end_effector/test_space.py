"""Joints to tool vectors and back, one arm and two, and which hand goes to which tool."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from emma.errors import EmmaError
from emma.policy.end_effector.poses import group_names
from emma.policy.end_effector.space import EndEffectorSpace, groups_of
from emma.robots.spec import Command, Joint, KinematicModel, RobotSpec, Tool, load_robot

DESK = load_robot("desk_arm")

TWO_ARMS = """<mujoco><worldbody>{}</worldbody></mujoco>"""
ARM = """<body name="{side}_1" pos="{x} 0 0"><joint name="{side}_a" axis="0 0 1"/><geom size="0.01"/>
<body pos="0.3 0 0"><joint name="{side}_b" axis="0 0 1"/><geom size="0.01"/>
<site name="{side}_tip" pos="0.2 0 0"/></body></body>"""


def two_arms(folder: Path, grippers: tuple[str, ...] = ("left_gripper", "right_gripper")) -> RobotSpec:
    bodies = "".join(ARM.format(side=side, x=x) for side, x in (("left", 0.4), ("right", -0.4)))
    (folder / "arms.xml").write_text(TWO_ARMS.format(bodies))
    names = ("left_a", "left_b", grippers[0], "right_a", "right_b", grippers[1])
    joints = [Joint(name=name, unit="rad", lower=-3, upper=3, velocity=4, acceleration=20) for name in names]
    for i in (2, 5):
        joints[i] = Joint(name=names[i], unit="m", lower=0.0, upper=0.04, velocity=1, acceleration=10)
    tools = [Tool(name=s, frame=f"{s}_tip", joints=(f"{s}_a", f"{s}_b")) for s in ("left", "right")]
    return RobotSpec(
        name="two_arms",
        joints=tuple(joints),
        cameras=(),
        state_topic="/joint_states",
        command=Command(topic="/command", kind="joint_trajectory"),
        control_rate_hz=50,
        fps=10,
        gripper=grippers,
        kinematics=KinematicModel(model="arms.xml", tools=tuple(tools)),
        folder=folder,
    )


def test_names_tell_end_effector_vectors() -> None:
    assert groups_of(group_names(("left", "right"))) == ("left", "right")
    assert groups_of(DESK.joint_names) == ()
    assert groups_of(None) == ()


def test_joints_and_back() -> None:
    space = EndEffectorSpace(DESK)
    joints = np.array(DESK.home) + np.linspace(0, 0.3, 8)[:, None] * [1, -0.5, 0.5, 0.3, -0.2, 1, 0]
    joints[:, 6] = np.linspace(0.0, 0.035, 8)
    vectors = space.encode(joints)
    assert vectors.shape == (8, 10)
    np.testing.assert_allclose(vectors[:, 9], np.linspace(0, 1, 8), atol=1e-9)
    np.testing.assert_allclose(space.decode(vectors, joints[0], 0.1).joints, joints, atol=1e-3)


def test_two_arms_move_at_once_each_with_its_gripper(tmp_path: Path) -> None:
    space = EndEffectorSpace(two_arms(tmp_path))
    share = np.linspace(0, 1, 6)[:, None]
    joints = np.array([0.3, 0.8, 0.01, -0.3, 0.9, 0.02]) + share * [0.2, 0.1, 0.02, -0.2, 0.1, -0.02]
    vectors = space.encode(joints)
    assert vectors.shape == (6, 20)
    # Base and tips: 0.3 m and 0.2 m from the shoulder at x = 0.4 m.
    first, both = joints[:, 0], joints[:, 0] + joints[:, 1]
    np.testing.assert_allclose(vectors[:, 0], 0.4 + 0.3 * np.cos(first) + 0.2 * np.cos(both), atol=1e-6)
    np.testing.assert_allclose(vectors[:, [9, 19]], joints[:, [2, 5]] / 0.04, atol=1e-9)
    found = space.decode(vectors, joints[0], 0.1)
    np.testing.assert_allclose(found.joints, joints, atol=2e-3)


def test_hands_find_their_tools(tmp_path: Path) -> None:
    both, one = EndEffectorSpace(two_arms(tmp_path)), EndEffectorSpace(DESK)
    assert one.places_of(("right",), "data") == [0]
    assert both.places_of(("right", "left"), "data") == [1, 0]
    with pytest.raises(EmmaError, match="no tool of desk_arm"):
        one.places_of(("left", "right"), "data")


def test_what_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(EmmaError, match="belongs to no one tool"):
        EndEffectorSpace(two_arms(tmp_path, ("gripper_1", "gripper_2")))
    with pytest.raises(EmmaError, match="kinematics"):
        EndEffectorSpace(dataclasses.replace(DESK, kinematics=None))
