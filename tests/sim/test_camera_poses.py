"""Calibration, kinematics and depth agree with the simulator."""

import numpy as np

from emma.dreamtransfer.camera_poses import calibrated_poses
from emma.dreamtransfer.geometry import points, project
from emma.robots.spec import load_robot
from emma.sim.arm import DeskArm
from emma.sim.scene import CLASSES


def test_poses_of_every_camera_are_those_of_the_simulator() -> None:
    spec = load_robot("desk_arm")
    poses = calibrated_poses(spec)
    with DeskArm(spec) as sim:
        for seed in range(3):
            sim.reset(seed)
            geometry = poses(sim.state()[None])
            assert set(geometry) == set(sim.cameras)
            for camera in sim.cameras:
                np.testing.assert_allclose(geometry[camera].base_from_camera[0], sim.extrinsics(camera), atol=1e-5)
                np.testing.assert_allclose(geometry[camera].intrinsics, sim.camera_matrix(camera), atol=1e-4)


def test_the_table_lies_at_height_zero_in_both_views() -> None:
    spec = load_robot("desk_arm")
    with DeskArm(spec, cameras=("top", "wrist")) as sim:
        geometry = calibrated_poses(spec)(sim.state()[None])
        for camera in sim.cameras:
            table = sim.segmentation(camera) == CLASSES.index("table")
            height = points(sim.depth(camera)[None], geometry[camera])[0][table, 2]
            assert np.abs(height).max() < 0.003, camera  # depth is in whole millimetres


def test_projection_inverts_points() -> None:
    spec = load_robot("desk_arm")
    with DeskArm(spec, cameras=("wrist",)) as sim:
        camera = calibrated_poses(spec)(sim.state()[None])["wrist"]
        depth = sim.depth("wrist")[None]
        pixels, distance = project(points(depth, camera), camera)
    rows, columns = np.mgrid[: depth.shape[1], : depth.shape[2]]
    np.testing.assert_allclose(pixels[0, ..., 0], columns, atol=1e-2)
    np.testing.assert_allclose(pixels[0, ..., 1], rows, atol=1e-2)
    np.testing.assert_allclose(distance[0], depth[0] / 1000, atol=1e-4)


def test_unknown_depth_is_no_point() -> None:
    spec = load_robot("desk_arm")
    camera = calibrated_poses(spec)(np.zeros((1, 7), np.float32))["top"]
    assert np.isnan(points(np.zeros((1, 96, 96), np.uint16), camera)).all()
