"""The tool stays in its box whatever the policy wants, brakes in time, and can always come back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emma.control.safety import SafetyFilter
from emma.control.workspace import Workspace
from emma.robots.spec import load_robot

SPEC = load_robot("desk_arm")
DT = 1.0 / SPEC.control_rate_hz
LOWER = np.array([j.lower for j in SPEC.joints])
UPPER = np.array([j.upper for j in SPEC.joints])
VELOCITY = np.array([j.velocity for j in SPEC.joints])
ACCELERATION = np.array([j.acceleration for j in SPEC.joints])
HOME = np.array(SPEC.home)


def planar(joints):
    """Two links of 0.3 m on a turning column: curved paths, as an arm's."""
    reach = 0.3 * np.cos(joints[1]) + 0.3 * np.cos(joints[1] + joints[2])
    height = 0.3 * np.sin(joints[1]) + 0.3 * np.sin(joints[1] + joints[2])
    return np.array([[reach * np.cos(joints[0]), reach * np.sin(joints[0]), height]])


START = np.array([0.0, 0.5, -1.0, 0.0, 0.0, 0.0, 0.0])
BOX = Workspace(lower=(0.2, -0.3, -0.2), upper=(0.58, 0.3, 0.2), tools=planar)


def run(targets, workspace=BOX, start=START):
    safety = SafetyFilter(SPEC, workspace=workspace)
    safety.start(start)
    steps = [safety.step(target) for target in targets]
    return np.stack([start, *(step.position for step in steps)]), steps


# The tool's path between the tested poses is curved; in one tick no joint moves further than 0.06 rad.
CURVE_M = 0.003


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, (6, 7), elements=st.floats(-1, 1)), st.integers(5, 30))
def test_the_tool_never_leaves_and_every_other_limit_still_holds(goals, ticks):
    targets = np.repeat(np.where(goals < 0, -goals * LOWER, goals * UPPER), ticks, axis=0)
    path, _ = run(targets)
    assert max(BOX.outside(q) for q in path) <= CURVE_M
    velocity = np.diff(path, axis=0) / DT
    assert (np.abs(velocity) <= VELOCITY + 1e-6).all()
    assert (np.abs(np.diff(velocity, axis=0)) / DT <= ACCELERATION + 1e-5).all()


def test_inside_the_box_nothing_changes():
    target = START + np.array([0.3, 0.1, 0.1, 0.5, 0.5, 0.5, 0.01])
    free, _ = run([target] * 100, workspace=None)
    boxed, steps = run([target] * 100)
    np.testing.assert_array_equal(free, boxed)
    assert not any("workspace" in step.clipped for step in steps)


def test_a_target_outside_is_gone_to_as_far_as_the_edge_and_told():
    target = START + np.array([1.5, 0, 0, 0, 0, 0, 0])
    path, steps = run([target] * 150)
    edge = planar(path[-1])[0, 1]
    assert 0.28 < edge <= 0.3 + 1e-5
    assert "workspace" in steps[-1].clipped
    np.testing.assert_allclose(path[-1], path[-2], atol=1e-3)


def test_from_outside_it_may_only_come_back():
    outside = START + np.array([1.2, 0, 0, 0, 0, 0, 0])
    further, _ = run([outside + np.array([0.3, 0, 0, 0, 0, 0, 0])] * 50, start=outside)
    assert BOX.outside(further[-1]) <= BOX.outside(outside) + 1e-5
    back, _ = run([START] * 150, start=outside)
    np.testing.assert_allclose(back[-1], START, atol=1e-6)


def test_a_pose_of_unknown_place_is_not_gone_to():
    blind = Workspace(lower=(-1, -1, -1), upper=(1, 1, 1), tools=lambda joints: np.full((1, 3), np.nan))
    path, steps = run([START + 0.1] * 20, workspace=blind)
    np.testing.assert_array_equal(path, np.repeat(START[None], 21, axis=0))
    assert all("workspace" in step.clipped for step in steps)


@pytest.mark.parametrize(
    ("lower", "upper"), [((0, 0), (1, 1, 1)), ((0, 0, 1), (1, 1, 1)), ((0, 0, 0), (1, float("nan"), 1))]
)
def test_a_box_must_be_one(lower, upper):
    with pytest.raises(ValueError, match="workspace"):
        Workspace(lower=lower, upper=upper, tools=planar)
