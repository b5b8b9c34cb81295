"""Paths of poses to joints: exact where the arm reaches, the nearest pose where it does not, limits always."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from emma.robots.kinematics import Kinematics
from emma.robots.pose_path import END_M, LEAD, REACHED_M, PosePath
from emma.robots.spec import load_robot

SPEC = load_robot("desk_arm")
LOWER, UPPER, VELOCITY = (np.array([getattr(j, key) for j in SPEC.joints]) for key in ("lower", "upper", "velocity"))
STEP_S = 0.1
ARM = Kinematics.of(SPEC)
PATH = PosePath(ARM, SPEC)


def motion(seed: int, steps: int = 16) -> np.ndarray:
    """(K, J) joints of a smooth motion within the limits."""
    rng = np.random.default_rng(seed)
    start = np.array(SPEC.home) + np.append(rng.uniform(-0.4, 0.4, 6), -0.01)
    change = np.append(rng.uniform(-0.5, 0.5, 6), 0.0)
    share = np.linspace(0, 1, steps)[:, None] ** 2
    return np.clip(start + change * share, LOWER + 1e-3, UPPER - 1e-3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_path_of_reachable_poses_gives_its_joints(seed: int) -> None:
    joints = motion(seed)
    found = PATH.solve({"tool": ARM.poses(joints, "tool")}, joints[0], STEP_S)
    assert found.reached.all()
    assert found.followed == len(joints)
    assert found.position_error_m.max() < 1e-4
    # A hundredth of a millimetre may be some thousandths of a radian where the arm is nearly stretched.
    np.testing.assert_allclose(found.joints[:, :6], joints[:, :6], atol=1e-2)
    np.testing.assert_array_equal(found.joints[:, 6], joints[0, 6])


def test_out_of_reach_the_nearest_pose_and_then_rest() -> None:
    start = np.array(SPEC.home)
    wanted = np.tile(ARM.forward(start)["tool"], (16, 1, 1))
    wanted[:, 0, 3] += np.linspace(0, 1.5, 16)
    found = PATH.solve({"tool": wanted}, start, STEP_S)
    assert 0 < found.followed < 16
    assert (np.diff(found.joints[found.followed :], axis=0) == 0).all()
    assert found.position_error_m[found.followed] > END_M
    # Stretched out towards the goal, not anywhere.
    reached = ARM.forward(found.joints[-1])["tool"][:3, 3]
    assert reached[0] > ARM.forward(start)["tool"][0, 3] + 0.1
    assert abs(reached[1]) < 0.02


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_limits_hold_for_any_poses(seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = rng.uniform(LOWER, UPPER)
    elsewhere = rng.uniform(LOWER, UPPER, (5, len(LOWER)))
    wanted = ARM.poses(elsewhere, "tool")
    wanted[:, :3, 3] *= rng.uniform(0.5, 2.0)
    found = PATH.solve({"tool": wanted}, start, STEP_S)
    assert (found.joints >= LOWER - 1e-9).all()
    assert (found.joints <= UPPER + 1e-9).all()
    steps = np.abs(np.diff(np.vstack([start, found.joints]), axis=0)) / (VELOCITY * STEP_S)
    assert steps[0].max() <= LEAD + 1e-9
    assert steps[1:].max() <= 1 + 1e-9


def test_a_pose_that_is_too_fast_is_caught_up_with() -> None:
    start, goal = np.array(SPEC.home), np.array(SPEC.home)
    goal[0] += 1.0
    wanted = np.tile(ARM.forward(goal)["tool"], (16, 1, 1))
    found = PATH.solve({"tool": wanted}, start, STEP_S)
    assert found.followed == 16
    assert found.position_error_m[0] > END_M
    assert found.position_error_m[-1] < REACHED_M
