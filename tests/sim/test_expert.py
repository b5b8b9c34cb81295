"""The scripted expert: it succeeds, moves as a robot may, and its plan survives the dataset's lower rate."""

import numpy as np
import pytest

from emma.errors import EmmaError
from emma.sim.expert import Expert, check_steps, disturbance
from emma.sim.kinematics import Kinematics, tool_down
from emma.sim.scene import build_model
from emma.sim.tasks import TASKS


def run(arm, commands):
    for command in commands:
        arm.step(command)
    return arm.outcome().success


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("target", ["bin", "plate"])
def test_succeeds_clean_and_disturbed(arm, task, target):
    arm.set_task(task)
    for seed in range(5):
        for noise in (0.0, 0.03):
            arm.reset(seed, target)
            assert run(arm, Expert(arm, noise=noise).executed)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("target", ["bin", "plate"])
def test_commands_at_ten_hertz_joined_by_lines_still_succeed(arm, task, target):
    arm.set_task(task)
    for seed in range(20, 25):
        arm.reset(seed, target)
        plan = Expert(arm).commands
        kept = np.arange(0, len(plan), 5)
        ticks = np.arange(len(plan))
        joined = np.stack([np.interp(ticks, kept, plan[kept, j]) for j in range(7)], axis=1)
        assert run(arm, joined)


@pytest.mark.parametrize("task", TASKS)
def test_no_joint_jumps_and_the_wrist_does_not_flip(arm, spec, task):
    arm.set_task(task)
    per_tick = np.array([joint.velocity for joint in spec.joints]) / spec.control_rate_hz
    acceleration = np.array([joint.acceleration for joint in spec.joints])
    for seed in range(12):
        arm.reset(seed)
        start = arm.state()
        plan = Expert(arm).commands
        assert (np.abs(np.diff(plan, axis=0)) <= per_tick).all()
        assert (np.abs(plan[0] - start) <= per_tick).all()
        assert (np.abs(np.diff(plan, n=2, axis=0)) * spec.control_rate_hz**2 <= acceleration).all()
        assert np.abs(plan[:, [3, 5]]).max() < 1.2
        np.testing.assert_allclose(plan[-1], arm.home, atol=1e-3)


def test_a_plan_that_jumps_is_refused(spec):
    path = np.zeros((10, 7))
    path[5:, 5] = 3.1
    with pytest.raises(EmmaError, match="moves j6 too fast"):
        check_steps(path, spec)


def test_the_label_stays_clean(arm):
    arm.reset(1, "bin")
    clean = Expert(arm)
    np.testing.assert_array_equal(clean.commands, clean.executed)
    noisy = Expert(arm, noise=0.02)
    np.testing.assert_array_equal(noisy.commands, clean.commands)
    assert 0.003 < np.abs(noisy.executed - noisy.commands)[:, :6].std() < 0.03
    np.testing.assert_array_equal(noisy.executed[:, 6], clean.commands[:, 6])


def test_disturbance_has_the_size_asked_for_and_no_jumps():
    noise = disturbance(np.random.default_rng(0), np.zeros(20_000, dtype=bool), 0.02, 0.02)
    np.testing.assert_allclose(noise.std(axis=0), 0.02, rtol=0.15)
    assert np.abs(np.diff(noise, axis=0)).max() < 0.01
    near = disturbance(np.random.default_rng(0), np.ones(20_000, dtype=bool), 0.02, 0.02)
    assert near[100:].std() < 0.4 * noise.std()


def test_inverse_kinematics_reaches_the_whole_workspace(arm):
    kinematics = Kinematics(build_model())
    for x in np.linspace(0.18, 0.38, 4):
        for y in np.linspace(-0.25, 0.25, 5):
            for z in (0.02, 0.2):
                joints = kinematics.inverse(np.array([x, y, z]), tool_down(), arm.home[:6])
                position, rotation = kinematics.forward(joints)
                np.testing.assert_allclose(position, [x, y, z], atol=1e-4)
                np.testing.assert_allclose(rotation, tool_down(), atol=1e-3)


def test_a_pose_out_of_reach_is_refused(arm):
    with pytest.raises(EmmaError, match="out of the arm's reach"):
        arm.kinematics.inverse(np.array([1.5, 0.0, 0.1]), tool_down(), arm.home[:6])


def test_command_by_command(arm):
    arm.reset(2, "plate")
    expert = Expert(arm)
    while not expert.done:
        arm.step(expert.command())
    assert arm.tick == len(expert)
    np.testing.assert_array_equal(expert.command(), expert.commands[-1])
    assert arm.outcome().success
