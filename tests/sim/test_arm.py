"""The simulated arm: it repeats itself, sees what is there and judges its own work."""

import dataclasses

import numpy as np
import pytest

from emma.errors import EmmaError
from emma.sim.arm import DeskArm
from emma.sim.expert import Expert
from emma.sim.scene import CLASSES, CUBE_HALF, TARGET_XY
from emma.sim.simulator import observation


def drive(arm, ticks, seed=0, target="bin"):
    arm.reset(seed, target)
    for _, (_, executed) in zip(range(ticks), Expert(arm, noise=0.02), strict=False):
        arm.step(executed)


def test_the_same_seed_gives_the_same_frames_in_another_simulator(spec, arm):
    def frames(sim):
        drive(sim, 120, seed=7)
        return [sim.state(), *(view(camera) for camera in sim.cameras for view in (sim.render, sim.depth))]

    frames(arm)
    mine = frames(arm)
    with DeskArm(spec) as other:
        theirs = frames(other)
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_seeds_differ_and_the_target_does_not_move_the_cube(arm):
    poses = {arm.reset(seed, "bin").cube_pose for seed in range(20)}
    assert len(poses) == 20
    assert arm.reset(3, "bin").cube_pose == arm.reset(3, "plate").cube_pose
    assert {arm.reset(seed).target for seed in range(20)} == {"bin", "plate"}


def test_pictures_are_taken_at_the_camera_rate(arm):
    assert arm.picture_tick("top") == 0
    first = arm.render("front").copy()
    aside = arm.home.copy()
    aside[0] += 0.3
    arm.step(aside)
    assert arm.tick == 1
    assert arm.picture_tick("top") == 0
    np.testing.assert_array_equal(arm.render("front"), first)
    arm.step(aside)
    assert arm.picture_tick("top") == 2
    assert not np.array_equal(arm.render("front"), first)


@pytest.mark.parametrize("rate", [10.0, 25.0, 30.0, 50.0])
def test_any_camera_rate_is_right_on_average(spec, rate):
    cameras = tuple(dataclasses.replace(camera, rate_hz=rate) for camera in spec.cameras)
    with DeskArm(dataclasses.replace(spec, cameras=cameras), cameras=("top",)) as sim:
        taken = []
        for _ in range(100):
            taken.append(sim.picture_tick("top"))
            sim.step(sim.home)
    assert len(set(taken)) == 2 * rate
    assert set(np.diff(sorted(set(taken)))) <= {int(50 / rate), -int(-50 // rate)}


def test_looking_does_not_change_the_physics(arm):
    drive(arm, 100)
    blind = arm.state()
    arm.reset(0, "bin")
    for _, (_, executed) in zip(range(100), Expert(arm, noise=0.02), strict=False):
        arm.step(executed)
        arm.render("wrist")
        arm.segmentation("top")
    np.testing.assert_array_equal(arm.state(), blind)


def test_observation_carries_ages(arm):
    drive(arm, 5)
    seen = observation(arm)
    assert seen.stamp_ns == 100_000_000
    assert seen.ages_s["state"] == 0.0
    assert seen.ages_s["images.top"] == pytest.approx(0.02)
    assert seen.skew_s == 0.0
    assert {c: i.shape for c, i in seen.images.items()} == dict.fromkeys(("top", "wrist", "front"), (96, 96, 3))
    assert {c: d.dtype for c, d in seen.depth.items()} == dict.fromkeys(("top", "wrist", "front"), np.uint16)


def test_depth_of_table_and_cube_from_the_top(arm):
    depth, classes = arm.depth("top"), arm.segmentation("top")
    table = depth[classes == CLASSES.index("table")]
    assert np.median(table) == 850
    assert np.percentile(np.abs(table.astype(int) - 850), 95) <= 1
    cube = depth[classes == CLASSES.index("cube")]
    assert cube.size >= 16
    assert abs(int(np.median(cube)) - round(850 - 2000 * CUBE_HALF)) <= 1


@pytest.mark.parametrize("camera", ["top", "wrist", "front"])
def test_depth_matrix_and_extrinsics_put_the_table_at_height_zero(arm, camera):
    drive(arm, 40)
    rows, columns = np.nonzero(arm.segmentation(camera) == CLASSES.index("table"))
    metres = arm.depth(camera)[rows, columns] / 1000.0
    rays = np.linalg.inv(arm.camera_matrix(camera)) @ np.stack([columns, rows, np.ones_like(rows)])
    points = arm.extrinsics(camera) @ np.vstack([rays * metres, np.ones_like(metres)])
    assert rows.size > 1000
    assert np.percentile(np.abs(points[2]), 90) < 0.002


def test_the_cube_is_where_the_cameras_see_it(arm):
    x, y, _ = arm.reset(11, "bin").cube_pose
    rows, columns = np.nonzero(arm.segmentation("top") == CLASSES.index("cube"))
    metres = np.median(arm.depth("top")[rows, columns]) / 1000.0
    pixel = np.array([columns.mean(), rows.mean(), 1.0])
    point = arm.extrinsics("top") @ np.append(np.linalg.inv(arm.camera_matrix("top")) @ pixel * metres, 1.0)
    np.testing.assert_allclose(point[:2], [x, y], atol=0.005)


def test_every_class_is_seen(arm):
    seen = {camera: {CLASSES[i] for i in np.unique(arm.segmentation(camera))} for camera in arm.cameras}
    assert seen["top"] >= {"table", "arm", "cube", "bin", "plate"}
    assert seen["front"] == set(CLASSES)


def test_the_wrist_camera_sees_the_cube_from_above_it_to_the_grasp(arm):
    for seed in range(4):
        arm.reset(seed, "bin")
        for tick, (command, _) in enumerate(Expert(arm)):
            arm.step(command)
            if tick >= 50 and tick % 10 == 0:
                assert (arm.segmentation("wrist") == CLASSES.index("cube")).sum() > 30
            if tick == 120:
                break


def test_cube_on_the_wrong_target_is_no_success(arm):
    plan = Expert(arm).commands
    arm.reset(0, "plate")
    settled = []
    for command in plan:
        arm.step(command)
        settled.append(arm.outcome().settled)
    outcome = arm.outcome()
    assert (outcome.placed_on, outcome.success, outcome.settled) == ("bin", False, True)
    np.testing.assert_allclose(outcome.cube_xyz[:2], TARGET_XY["bin"], atol=0.03)
    # Not while the fingers hold it.
    assert not any(settled[130:220])


def test_bad_commands_are_refused_and_time_stands_still(arm):
    for bad in (np.zeros(6), np.full(7, np.nan), [np.inf] * 7):
        with pytest.raises(EmmaError, match="bad command"):
            arm.step(bad)
    assert arm.tick == 0


def test_commands_beyond_the_limits_stop_at_them(arm, spec):
    for _ in range(150):
        arm.step(np.array([9.0, 0.0, 1.9, 0.0, 1.2, 0.0, 1.0]))
    assert arm.state()[0] <= spec.joints[0].upper + 0.02
    assert arm.state()[6] <= spec.joints[6].upper + 0.001


def test_model_and_robot_yaml_agree(arm, spec):
    for i, joint in enumerate(spec.joints):
        np.testing.assert_allclose(arm.model.actuator_ctrlrange[i], [joint.lower, joint.upper])


def test_another_robot_camera_rate_or_target_is_refused(arm, spec):
    with pytest.raises(EmmaError, match="not this robot"):
        DeskArm(dataclasses.replace(spec, joints=spec.joints[:-1], gripper=(), home=()))
    with pytest.raises(EmmaError, match="no camera"):
        DeskArm(spec, cameras=("side",))
    with pytest.raises(EmmaError, match="control_rate_hz"):
        DeskArm(dataclasses.replace(spec, control_rate_hz=60.0))
    with pytest.raises(EmmaError, match="unknown target"):
        arm.reset(0, "cup")
    with DeskArm(spec, cameras=("top",)) as sim, pytest.raises(EmmaError, match="no camera"):
        sim.render("front")
