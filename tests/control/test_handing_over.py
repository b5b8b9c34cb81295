import numpy as np

from emma.control.chunk_executor import ExecutorConfig
from emma.control.controller import Controller, Mode
from emma.control.safety import SafetyFilter
from emma.control.tracking import start_pose
from emma.robots.spec import load_robot

SPEC = load_robot("desk_arm")
HOME = np.array(SPEC.home)


def test_a_closed_gripper_stays_closed_across_a_handover():
    commanded = HOME.copy()
    commanded[6] = 0.0
    measured = commanded.copy()
    measured[6] = 0.02  # an object stops the fingers
    measured[:6] += 0.01  # and gravity the arm
    np.testing.assert_array_equal(start_pose(SPEC, measured, commanded), commanded)


def test_a_command_that_the_arm_did_not_follow_is_not_resumed():
    measured = HOME.copy()
    measured[1] += 0.5
    np.testing.assert_array_equal(start_pose(SPEC, measured, HOME), measured)
    np.testing.assert_array_equal(start_pose(SPEC, measured, None), measured)
    np.testing.assert_array_equal(start_pose(SPEC, measured, np.full(7, np.nan)), measured)


def test_braking_keeps_the_limits_and_ends_at_rest():
    safety = SafetyFilter(SPEC)
    safety.start(HOME)
    positions = [HOME]
    for _ in range(15):
        positions.append(safety.step(HOME + 1.0).position)
    assert not safety.at_rest
    while not safety.at_rest:
        positions.append(safety.brake().position)
        assert len(positions) < 80
    dt = 1.0 / SPEC.control_rate_hz
    speed = np.diff(positions, axis=0) / dt
    assert (np.abs(np.diff(speed, axis=0)) / dt <= np.array([j.acceleration for j in SPEC.joints]) + 1e-6).all()
    np.testing.assert_array_equal(safety.brake().position, positions[-1])
    # A target taken up after braking starts from rest.
    after = safety.step(positions[-1]).position
    np.testing.assert_allclose(after, positions[-1], atol=1e-12)


def test_a_controller_that_is_asked_to_let_go_comes_to_rest_first():
    controller = Controller(SPEC, ExecutorConfig(fps=10), ramp_s=0.0)
    controller.release()
    assert controller.tick(0, {}).mode is Mode.DISABLED
    controller.enable(0, HOME)
    assert controller.offer(np.tile(HOME + 0.5, (16, 1)), 0, 0) is None
    period, now, commands = round(1e9 / SPEC.control_rate_hz), 0, [HOME]
    for _ in range(10):
        now += period
        commands.append(controller.tick(now, {}).command)
    controller.release()
    assert controller.enabled
    while (tick := controller.tick(now := now + period, {})).mode is Mode.HOLDING:
        assert tick.reason == "handing over"
        commands.append(tick.command)
    assert tick.mode is Mode.DISABLED
    assert tick.command is None
    assert not controller.enabled
    dt = 1.0 / SPEC.control_rate_hz
    speed = np.diff([*commands, commands[-1]], axis=0) / dt
    assert (np.abs(np.diff(speed, axis=0)) / dt <= np.array([j.acceleration for j in SPEC.joints]) + 1e-6).all()
    controller.enable(now, commands[-1])
    assert controller.tick(now + period, {}).mode is Mode.WAITING
