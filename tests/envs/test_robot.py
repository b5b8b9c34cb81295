"""An environment of others behaves as the embedded arm does, by the same interface."""

import dataclasses
import sys

import numpy as np
import pytest

from emma.envs.maker import maker_of
from emma.envs.robot import TARGET, EnvRobot
from emma.errors import EmmaError
from emma.sim.demonstrations import demonstrate
from emma.sim.simulator import observation


@pytest.fixture
def robot(toy_spec, toy):
    with EnvRobot(toy_spec, toy, python=sys.executable) as made:
        yield made


def test_joints_are_in_the_order_of_the_spec(robot):
    robot.reset(3)
    robot.step(np.array([-0.4, 0.2]))
    np.testing.assert_allclose(robot.state(), [-0.4, 0.2], atol=1e-6)
    assert robot.outcome().cube_xyz[2] == 0.2
    assert robot.task.seed == 3
    assert (robot.tick, robot.time_s, robot.stamp_ns) == (1, 0.02, 20_000_000)


def test_cameras_take_pictures_at_their_rate_and_keep_them(robot):
    robot.reset(0)
    assert robot.picture_tick("top") == 0
    for lift in (0.1, 0.2, 0.3):
        robot.step(np.array([0.0, lift]))
    assert robot.picture_tick("top") == 2
    assert (robot.render("top") == 20).all()
    seen = observation(robot, depth=False)
    assert seen.ages_s["images.top"] == pytest.approx(0.02)
    np.testing.assert_allclose(robot.camera_matrix("top"), [[3, 0, 3.5], [0, 3, 2.5], [0, 0, 1]])


def test_success_stays_once_the_package_has_seen_it(robot):
    robot.reset(0)
    assert not robot.outcome().success
    robot.step(np.array([0.0, 0.6]))
    robot.step(np.array([0.0, 0.1]))
    assert robot.outcome().success
    assert robot.outcome().placed_on == TARGET
    robot.reset(1)
    assert not robot.outcome().success


def test_a_demonstration_keeps_to_the_limits(robot):
    made = demonstrate(robot, 0, TARGET, noise=0.01, fps=10, depth=False)
    assert made is not None
    assert made.instruction == "lift"
    assert np.abs(np.diff(made.executed, axis=0)).max() < 0.2
    np.testing.assert_allclose(made.action[-1], [-0.2, 0.6], atol=0.05)
    again = demonstrate(robot, 0, TARGET, noise=0.01, fps=10, depth=False)
    np.testing.assert_array_equal(made.executed, again.executed)


def test_what_does_not_fit_is_refused(robot, toy_spec, toy):
    with pytest.raises(EmmaError, match="finite joint targets"):
        robot.step(np.array([np.nan, 0.0]))
    with pytest.raises(EmmaError, match="no task"):
        robot.set_task("push")
    with pytest.raises(EmmaError, match="one look"):
        robot.set_domain("unseen_1")
    with pytest.raises(EmmaError, match="no depth"):
        robot.depth("top")
    joints = (dataclasses.replace(toy_spec.joints[0], name="elbow"), toy_spec.joints[1])
    with pytest.raises(EmmaError, match="another robot"):
        EnvRobot(dataclasses.replace(toy_spec, joints=joints), toy, python=sys.executable)
    with pytest.raises(EmmaError, match="no camera"):
        robot.render("side")


def test_the_packages_robots_are_those_of_the_specs(installed):
    maker = maker_of(installed)
    with maker.make(installed, cameras=installed.camera_names[:1], task=maker.tasks[0]) as sim:
        assert sim.info["joints"]
        start = sim.state()
        for joint, value in zip(installed.joints, start, strict=True):
            assert joint.lower - 0.02 <= value <= joint.upper + 0.02
        image = sim.render(installed.camera_names[0])
        assert image.shape == (32, 48, 3)
        assert image.std() > 5
        for _ in range(5):
            sim.step(start)
        assert np.abs(sim.state() - start).max() < 0.1
        assert not sim.outcome().success
