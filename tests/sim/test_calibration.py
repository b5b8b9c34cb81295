"""The calibration files of the desk arm against the simulator that they describe."""

import numpy as np
import pytest
import yaml

from emma.gl import mujoco
from emma.robots.spec import load_robot
from emma.sim.arm import DeskArm
from emma.sim.scene import ARM_JOINTS

SPEC = load_robot("desk_arm")


@pytest.fixture(scope="module")
def sim():
    with DeskArm(SPEC, cameras=SPEC.camera_names) as sim:
        yield sim


@pytest.mark.parametrize("name", SPEC.camera_names)
def test_intrinsics(sim, name):
    info = yaml.safe_load((SPEC.folder / f"{name}.yaml").read_text())
    assert (info["camera_name"], info["image_width"], info["image_height"]) == (name, 96, 96)
    matrix = np.reshape(info["camera_matrix"]["data"], (3, 3))
    np.testing.assert_allclose(matrix, sim.camera_matrix(name), atol=1e-5)


@pytest.mark.parametrize("name", SPEC.camera_names)
def test_extrinsics(sim, name):
    entry = yaml.safe_load((SPEC.folder / "extrinsics.yaml").read_text())[name]
    assert entry["frame_id"] == SPEC.camera(name).frame_id
    parent = np.eye(4)
    if entry["parent"] != "base":
        data = mujoco.MjData(sim.model)
        for joint, value in zip(ARM_JOINTS, sim.state()[:6], strict=True):
            data.joint(joint).qpos[0] = value
        mujoco.mj_kinematics(sim.model, data)
        body = data.body(entry["parent"])
        parent[:3, :3], parent[:3, 3] = body.xmat.reshape(3, 3), body.xpos
    np.testing.assert_allclose(parent @ np.array(entry["transform"]), sim.extrinsics(name), atol=1e-3)


def test_home(sim):
    np.testing.assert_allclose(SPEC.home, sim.home, atol=1e-4)
