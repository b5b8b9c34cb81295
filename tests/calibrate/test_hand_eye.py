"""Where the camera is, against a rig whose truth is known."""

import numpy as np
import pytest

from emma.bench.calibrate_rig import NOISY, Faults, SimArm, make_rig, waypoints
from emma.calibrate.closed_form import apart
from emma.calibrate.hand_eye import Mount, estimate
from emma.calibrate.motion import check_motion
from emma.calibrate.pinhole import rigid
from emma.errors import EmmaError


@pytest.mark.parametrize("mount", [pytest.param("hand", marks=pytest.mark.slow), "base"])
def test_without_noise_it_is_exact(arm: SimArm, reach: np.ndarray, mount: Mount) -> None:
    rng = np.random.default_rng(1)
    rig = make_rig(arm, mount, rng)
    found = estimate(arm, rig.record(waypoints(rig, 12, rng, reach), rng, draw=False), rig.lens, mount)
    mm, deg = apart(found.x, rig.x)
    assert mm < 0.05
    assert deg < 0.01


@pytest.mark.parametrize("mount", ["hand", pytest.param("base", marks=pytest.mark.slow)])
def test_backlash_noise_and_delay_stay_within_the_bound(arm: SimArm, reach: np.ndarray, mount: Mount) -> None:
    rng = np.random.default_rng(2)
    rig = make_rig(arm, mount, rng, NOISY)
    found = estimate(arm, rig.record(waypoints(rig, 20, rng, reach), rng, draw=False), rig.lens, mount)
    mm, deg = apart(found.x, rig.x)
    bound_mm, bound_deg = found.bound_95
    assert mm < 1.5 * bound_mm < 5
    assert deg < 1.5 * bound_deg < 0.5
    assert np.median(found.backlash) == pytest.approx(NOISY.backlash, abs=2.5e-3)


@pytest.mark.slow
def test_a_wider_bound_for_fewer_views(arm: SimArm, reach: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    rig = make_rig(arm, "hand", rng, Faults(joint_noise=2e-3, grain=1.0))
    views = rig.record(waypoints(rig, 20, rng, reach), rng, draw=False)
    few, many = (estimate(arm, part, rig.lens, "hand").bound_95 for part in (views[:10], views))
    assert few[0] > many[0]


def test_turns_about_one_axis_are_refused() -> None:
    poses = np.stack([rigid(np.array([0, 0, 0.1 * i]), np.array([0.01 * i, 0, 0.3])) for i in range(12)])
    with pytest.raises(EmmaError, match="one axis only"):
        check_motion(poses)
    with pytest.raises(EmmaError, match="turned too little"):
        check_motion(np.stack([rigid(np.zeros(3), np.array([0.01 * i, 0, 0])) for i in range(12)]))
    with pytest.raises(EmmaError, match="too few poses"):
        check_motion(poses[:3])
