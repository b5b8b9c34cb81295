"""What is taken from a URDF, and what is refused."""

from pathlib import Path

import mujoco
import pytest
from stranger_arm import ARM, FINGER, urdf

from emma.errors import EmmaError
from emma.robots.urdf import find_mesh, for_kinematics, meshes, read_urdf

LINKS = '<link name="base"/><link name="a"/><link name="b"/>'
LIMIT = '<limit lower="-1" upper="2" velocity="3" effort="1"/>'


def joint(name: str, parent: str, child: str, kind: str = "revolute", inner: str = LIMIT) -> str:
    return f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>{inner}</joint>'


def robot(*parts: str) -> str:
    return f'<robot name="r">{"".join(parts)}</robot>'


def test_joints_limits_and_mimics_of_an_arm() -> None:
    described = read_urdf(urdf(), "arm.urdf")
    assert [joint.name for joint in described.driven] == [*ARM, FINGER]
    first, finger = described.joints[0], described.driven[-1]
    assert (first.unit, first.lower, first.upper, first.velocity) == ("rad", -2.6, 2.6, 1.5)
    assert (finger.unit, finger.upper) == ("m", 0.05)
    follower = next(joint for joint in described.joints if joint.mimic)
    assert follower.name == "claw_follow"
    assert follower.mimic is not None
    assert follower.mimic.joint == FINGER
    assert described.chain("grasp_point") == ARM
    assert described.root == "pedestal"


def test_joints_are_listed_from_the_base_outwards_whatever_the_file_does() -> None:
    text = robot(LINKS, joint("second", "a", "b"), joint("first", "base", "a"))
    assert [joint.name for joint in read_urdf(text, "r").joints] == ["first", "second"]


def test_a_continuous_joint_has_no_limits_and_a_soft_limit_narrows() -> None:
    soft = LIMIT + '<safety_controller soft_lower_limit="-0.5" soft_upper_limit="1"/>'
    text = robot(LINKS, joint("turns", "base", "a", "continuous", ""), joint("soft", "a", "b", inner=soft))
    turns, narrowed = read_urdf(text, "r").joints
    assert turns.continuous
    assert turns.lower is None
    assert (narrowed.lower, narrowed.upper) == (-0.5, 1.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (robot(LINKS, joint("x", "base", "a", inner=""), joint("y", "a", "b")), "joints without limits: x"),
        (robot(LINKS, joint("x", "base", "a", inner='<limit effort="1"/>'), joint("y", "a", "b")), "without limits"),
        (robot(LINKS, joint("x", "base", "a")), "2 roots: base, b"),
        (robot(LINKS, joint("x", "base", "a"), joint("y", "a", "b"), joint("z", "b", "base")), "a ring"),
        (robot(LINKS, joint("x", "base", "a"), joint("x", "a", "b")), "two joints have one name"),
        (robot(LINKS, joint("x", "base", "b"), joint("y", "a", "b")), "hangs on two links"),
        (robot(LINKS, joint("x", "base", "nowhere")), "names a child that is not there"),
        (robot(LINKS, joint("x", "base", "a", inner='<limit lower="1" upper="1"/>'), joint("y", "a", "b")), "no room"),
        (robot(LINKS, joint("x", "base", "a", inner='<limit lower="low" upper="1"/>')), "has a bad lower"),
        (robot(LINKS, joint("x", "base", "a", "screw"), joint("y", "a", "b")), "unknown type"),
        (robot('<link name="base"/>'), "no joint that moves"),
        ('<robot name="r" xmlns:xacro="x"><xacro:include filename="a"/></robot>', "was not expanded"),
        ('<robot name="r"><link name="${prefix}base"/></robot>', "was not expanded"),
        ('<!DOCTYPE r [<!ENTITY a "b">]><robot name="r"/>', "defines entities"),
        ("<mujoco/>", "is no URDF"),
        ("<robot", "not valid XML"),
        ("", "not valid XML"),
    ],
)
def test_what_cannot_be_right_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(EmmaError) as refused:
        read_urdf(text, "arm.urdf")
    assert words in str(refused.value)
    assert refused.value.expected


def test_the_copy_for_kinematics_loads_and_keeps_every_frame() -> None:
    model = mujoco.MjModel.from_xml_string(for_kinematics(urdf(), {}))
    assert model.body("grasp_point").id > 0
    assert model.njnt == len(ARM) + 2


def test_meshes_are_found_in_packages_and_beside_the_file(tmp_path: Path) -> None:
    mesh = '<visual><geometry><mesh filename="package://my_arm/meshes/a.stl"/></geometry></visual>'
    text = robot(f'<link name="base">{mesh}</link>')
    assert meshes(text) == ("package://my_arm/meshes/a.stl",)
    file = tmp_path / "my_arm" / "meshes" / "a.stl"
    file.parent.mkdir(parents=True)
    file.touch()
    urdf_folder = tmp_path / "my_arm" / "urdf"
    assert find_mesh("package://my_arm/meshes/a.stl", urdf_folder, ()) == file
    assert find_mesh("package://my_arm/meshes/a.stl", None, (tmp_path,)) == file
    assert find_mesh("../meshes/a.stl", urdf_folder.parent / "meshes", ()) == file.parent / "../meshes/a.stl"
    assert find_mesh("package://other/meshes/a.stl", urdf_folder, (tmp_path,)) is None
