"""Cameras that somebody knocked against: how far, another way in each episode, and back."""

import numpy as np

from emma.robots.spec import load_robot
from emma.sim.arm import DeskArm


def poses(sim: DeskArm, seed: int) -> dict[str, np.ndarray]:
    sim.reset(seed)
    return {camera: sim.extrinsics(camera) for camera in sim.cameras}


def test_cameras_move_as_far_as_the_domain_says_and_back() -> None:
    with DeskArm(load_robot("desk_arm")) as sim:
        before, picture = poses(sim, 5), sim.render("top").copy()
        sim.set_domain("cameras_moved")
        moved = poses(sim, 5)
        for camera, pose in moved.items():
            apart = np.linalg.inv(before[camera]) @ pose
            assert np.isclose(np.linalg.norm(apart[:3, 3]), 0.02, atol=1e-6)
            assert np.isclose(np.degrees(np.arccos((np.trace(apart[:3, :3]) - 1) / 2)), 3.0, atol=1e-3)
        assert np.abs(sim.render("top").astype(int) - picture).mean() > 1
        assert not np.allclose(poses(sim, 6)["top"], moved["top"])
        np.testing.assert_array_equal(poses(sim, 5)["top"], moved["top"])
        sim.set_domain("source")
        np.testing.assert_array_equal(poses(sim, 5)["top"], before["top"])
        np.testing.assert_array_equal(sim.render("top"), picture)
