import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emma.errors import EmmaError
from emma.robots.kinematic_model import load_bare
from emma.robots.kinematics import Kinematics
from emma.robots.spec import KinematicModel, RobotSpec, Tool, load_robot

DESK = load_robot("desk_arm")
ARM = Kinematics.of(DESK)
LOWER, UPPER = (np.array([getattr(joint, key) for joint in DESK.joints]) for key in ("lower", "upper"))

# Two links of 0.3 m and 0.2 m that turn about z, a tool behind a fixed joint, a mesh that is nowhere.
URDF = """<robot name="planar">
  <link name="base_link"/>
  <link name="upper"><visual><geometry><mesh filename="package://nowhere/upper.stl"/></geometry></visual></link>
  <link name="fore"/>
  <link name="tool0"/>
  <joint name="shoulder" type="revolute">
    <parent link="base_link"/><child link="upper"/><axis xyz="0 0 1"/>
    <limit lower="-1.5" upper="1.5" effort="1" velocity="1"/>
  </joint>
  <joint name="elbow" type="continuous">
    <parent link="upper"/><child link="fore"/><origin xyz="0.3 0 0"/><axis xyz="0 0 1"/>
  </joint>
  <joint name="flange" type="fixed"><parent link="fore"/><child link="tool0"/><origin xyz="0.2 0 0"/></joint>
</robot>
"""
PLANAR = (Tool(name="tool", frame="tool0", joints=("shoulder", "elbow")),)


@pytest.fixture
def planar(tmp_path) -> Kinematics:
    file = tmp_path / "planar.urdf"
    file.write_text(URDF)
    return Kinematics(load_bare(file), ("elbow", "shoulder"), PLANAR)


def test_a_urdf_without_its_meshes_gives_the_textbook_pose_in_the_order_of_the_spec(planar):
    shoulder, elbow = 0.4, -0.9
    pose = planar.forward(np.array([elbow, shoulder]))["tool"]
    turned = shoulder + elbow
    expected = [0.3 * np.cos(shoulder) + 0.2 * np.cos(turned), 0.3 * np.sin(shoulder) + 0.2 * np.sin(turned), 0.0]
    np.testing.assert_allclose(pose[:3, 3], expected, atol=1e-9)
    np.testing.assert_allclose(pose[:2, 0], [np.cos(turned), np.sin(turned)], atol=1e-9)


def test_poses_are_given_in_the_base_frame(tmp_path):
    (tmp_path / "planar.urdf").write_text(URDF)
    moved = Kinematics(load_bare(tmp_path / "planar.urdf"), ("shoulder", "elbow"), PLANAR, "upper")
    pose = moved.forward(np.array([1.2, 0.0]))["tool"]
    np.testing.assert_allclose(pose[:3, 3], [0.5, 0.0, 0.0], atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.1, 0.9), min_size=7, max_size=7), st.lists(st.floats(-0.15, 0.15), min_size=7, max_size=7))
def test_inverse_brings_the_tool_to_the_pose_of_any_joints_nearby(shares, away):
    joints = LOWER + np.array(shares) * (UPPER - LOWER)
    pose = ARM.forward(joints)
    found = ARM.inverse(pose, np.clip(joints + away, LOWER, UPPER))
    assert ((found.joints >= LOWER - 1e-9) & (found.joints <= UPPER + 1e-9)).all()
    if found.reached:
        np.testing.assert_allclose(ARM.forward(found.joints)["tool"], pose["tool"], atol=2e-4)
    else:
        # Damped steps may end at a joint limit; then the errors are those of the pose that is given.
        assert found.position_error_m > 0 or found.rotation_error_rad > 0


def test_out_of_reach_gives_a_pose_toward_the_goal_and_its_error():
    pose = ARM.forward(np.array(DESK.home))["tool"]
    pose[:3, 3] = [2.0, 0.0, 0.3]
    found = ARM.inverse({"tool": pose}, np.array(DESK.home))
    assert not found.reached
    assert 1.0 < found.position_error_m < 2.0
    nearest = ARM.forward(found.joints)["tool"]
    assert np.linalg.norm(nearest[:3, 3] - pose[:3, 3]) == pytest.approx(found.position_error_m, abs=1e-6)


def test_joints_keep_the_limits_of_the_spec_where_those_are_narrower():
    joints = tuple(dataclasses.replace(j, lower=-0.1, upper=0.1) if j.name == "j1" else j for j in DESK.joints)
    narrow = Kinematics.of(dataclasses.replace(DESK, joints=joints))
    goal = ARM.forward(np.array([0.8, *DESK.home[1:]]))
    assert narrow.inverse(goal, np.array(DESK.home)).joints[0] == pytest.approx(0.1)


def test_a_trajectory_is_mapped_row_by_row():
    rows = np.linspace(LOWER * 0.2, UPPER * 0.2, 4)
    np.testing.assert_array_equal(ARM.poses(rows, "tool")[2], ARM.forward(rows[2])["tool"])


def spec_with(model: str, tmp_path, frame: str = "tool0", joints: tuple[str, ...] = ("j1",)) -> RobotSpec:
    tool = Tool(name="tool", frame=frame, joints=joints)
    return dataclasses.replace(DESK, kinematics=KinematicModel(model=model, tools=(tool,)), folder=tmp_path)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (None, "not there"),
        ("not xml", "cannot|can be read"),
        ("<robot><link name='a'/><link name='b'/></robot>", "can be read"),
        (URDF, "lacks joints of the tools"),
        (URDF.replace("tool0", "flange_link"), "no frame 'tool0'"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_with_its_fix(content, match, tmp_path):
    if content is not None:
        (tmp_path / "arm.urdf").write_text(content)
    with pytest.raises(EmmaError, match=match):
        Kinematics.of(spec_with("arm.urdf", tmp_path))


def test_a_robot_without_kinematics_is_told_how_to_get_them():
    with pytest.raises(EmmaError, match="kinematics of robot desk_arm are not known") as refused:
        Kinematics.of(dataclasses.replace(DESK, kinematics=None))
    assert "emma robots new" in str(refused.value)


def test_a_model_in_a_package_that_is_not_installed_is_named(tmp_path):
    with pytest.raises(EmmaError, match="package that is not installed"):
        Kinematics.of(spec_with("package:no_such_package/arm.xml", tmp_path))
