"""A scripted demonstration becomes motion that the robot can make."""

import numpy as np
import pytest

from emma.envs.script import feasible, near_grips
from emma.robots.spec import load_robot
from emma.sim.expert import check_steps


@pytest.fixture(scope="module")
def so101():
    return load_robot("so101")


def test_jumps_become_ramps_within_the_limits(so101):
    targets = np.zeros((60, 6))
    targets[5:, 4], targets[30:, 0], targets[40:, 5] = 1.5, 9.0, 1.7
    start = np.full(6, 0.1)
    path = feasible(targets, start, so101)
    check_steps(path, so101)
    assert np.abs(np.diff(path, 2, axis=0)).max() * 50**2 < 60.0
    np.testing.assert_allclose(path[-1], [so101.joints[0].upper, 0, 0, 0, 1.5, 1.7], atol=1e-9)
    np.testing.assert_allclose(path[0], start, atol=0.05)


def test_what_is_near_a_grip_is_known(so101):
    path = np.zeros((200, 6))
    path[:, 0] = np.linspace(0, 1, 200)
    path[100:110, 5] = np.linspace(0, 0.5, 10)
    path[110:, 5] = 0.5
    near = near_grips(path, so101)
    assert near.shape == (200,)
    assert near[70:140].all()
    assert not near[:60].any()
    assert not near[150:].any()
