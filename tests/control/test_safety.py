"""Whatever is asked for, what is commanded keeps every limit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emma.control.safety import SafetyFilter
from emma.robots.spec import load_robot

SPEC = load_robot("desk_arm")
DT = 1.0 / SPEC.control_rate_hz
LOWER = np.array([j.lower for j in SPEC.joints])
UPPER = np.array([j.upper for j in SPEC.joints])
VELOCITY = np.array([j.velocity for j in SPEC.joints])
ACCELERATION = np.array([j.acceleration for j in SPEC.joints])
ANY = st.floats(-50, 50) | st.sampled_from([np.nan, np.inf, -np.inf])


def run(targets, start=None, speed=1.0) -> np.ndarray:
    safety = SafetyFilter(SPEC)
    safety.start(np.zeros(7) if start is None else start)
    first = safety.position
    return np.stack([first, *(safety.step(t, speed=speed).position for t in targets)])


@settings(max_examples=150, deadline=None)
@given(arrays(np.float64, (30, 7), elements=ANY), arrays(np.float64, 7, elements=st.floats(-0.9, 0.9)))
def test_position_velocity_and_acceleration_limits_hold_for_any_targets(targets, share):
    start = np.where(share < 0, -share * LOWER, share * UPPER)
    path = run(targets, start)
    assert np.isfinite(path).all()
    assert (path >= LOWER - 1e-9).all()
    assert (path <= UPPER + 1e-9).all()
    velocity = np.diff(path, axis=0) / DT
    assert (np.abs(velocity) <= VELOCITY + 1e-6).all()
    # A hold is an exact stop, so limits on acceleration are asked of the ticks that followed a target.
    finite = np.isfinite(targets).all(axis=1)
    change = np.abs(np.diff(velocity, axis=0, prepend=np.zeros((1, 7)))) / DT
    assert (change[finite] <= ACCELERATION + 1e-5).all()


def test_it_arrives_and_does_not_overshoot_a_step():
    target = np.array([1.0, -0.5, 1.2, 0.3, 1.0, -2.0, 0.02])
    path = run([target] * 150)
    np.testing.assert_allclose(path[-1], target, atol=1e-9)
    assert (path * np.sign(target) <= np.abs(target) + 1e-9).all()


def test_a_target_in_steady_motion_is_followed_without_lag():
    t = np.arange(150) * DT
    targets = np.zeros((150, 7))
    targets[:, 0] = 0.8 * (1 - np.cos(1.5 * t))
    path = run(targets)
    assert np.abs(path[1:, 0] - targets[:, 0]).max() < 1e-6


@pytest.mark.parametrize("bad", [np.full(7, np.nan), np.zeros(6), np.zeros((2, 7))])
def test_nonsense_holds_the_last_command_and_says_so(bad):
    safety = SafetyFilter(SPEC)
    safety.start(np.full(7, 0.01))
    before = safety.step(np.full(7, 0.02)).position
    after = safety.step(bad)
    np.testing.assert_array_equal(after.position, before)
    assert after.clipped


def test_it_must_be_started_from_a_finite_pose():
    safety = SafetyFilter(SPEC)
    with pytest.raises(RuntimeError, match="start"):
        safety.step(np.zeros(7))
    with pytest.raises(ValueError, match="not finite"):
        safety.start(np.full(7, np.nan))


def test_clipping_is_told():
    safety = SafetyFilter(SPEC)
    safety.start(np.zeros(7))
    assert {"position", "velocity", "acceleration"} <= set(safety.step(np.full(7, 9.0)).clipped)
    assert safety.step(safety.position).clipped != ("position",)


def test_ramping_in_scales_the_speed():
    slow = run([np.full(7, 1.0)] * 40, speed=0.1)
    assert (np.abs(np.diff(slow, axis=0)) / DT <= 0.1 * VELOCITY + 1e-9).all()
