"""A camera's lens from views whose truth is known."""

import numpy as np
import pytest

from emma.bench.calibrate_rig import BOARD, Rig, SimArm, camera_poses, lens_of
from emma.calibrate.coverage import coverage
from emma.calibrate.detect import Corners
from emma.calibrate.intrinsics import calibrate_camera
from emma.calibrate.pinhole import Intrinsics, board_pose, rigid
from emma.errors import EmmaError

SIZE = (640, 480)


def views(lens: Intrinsics, arm: SimArm, count: int = 16, noise: float = 0.1, bent: float = 0.0) -> list[Corners]:
    """Corners of `count` views with noise in pixels; the board bent by `bent` m in its middle."""
    rng = np.random.default_rng(3)
    rig = Rig(arm=arm, mount="hand", lens=lens, x=np.eye(4), y=np.eye(4))
    found = []
    for pose in camera_poses(rig, count, rng):
        points = BOARD.points.copy()
        points[:, 2] = bent * np.sin(np.pi * points[:, 0] / 0.24) * (1 if rng.uniform() > 0.5 else -1)
        pixels = lens.project(points @ pose[:3, :3].T + pose[:3, 3])[0]
        pixels = pixels + rng.normal(0, noise, (len(BOARD.points), 2))
        inside = (pixels > 2).all(1) & (pixels < [637, 477]).all(1)
        found.append(Corners(np.flatnonzero(inside), pixels[inside], BOARD.points[inside]))
    return found


@pytest.mark.parametrize(
    "model", ["plumb_bob", pytest.param("rational_polynomial", marks=pytest.mark.slow), "equidistant"]
)
def test_the_lens_is_found_and_its_bound_holds(arm: SimArm, model: str) -> None:
    lens = lens_of(model)
    result = calibrate_camera(views(lens, arm), SIZE, model, thin=True)
    error = np.abs(result.lens.values[:2] / lens.values[:2] - 1).max()
    assert error < 5e-3
    assert error < 1.5 * result.focal_95
    assert result.held_out_px < 0.2
    assert result.lens.model == model


@pytest.mark.slow
def test_without_noise_the_lens_is_exact(arm: SimArm) -> None:
    lens = lens_of()
    result = calibrate_camera(views(lens, arm, noise=0.0), SIZE, thin=True)
    assert np.abs(result.lens.values[:4] / lens.values[:4] - 1).max() < 1e-4


def test_few_and_flat_views_are_refused_with_what_is_missing(arm: SimArm) -> None:
    some = views(lens_of(), arm)
    with pytest.raises(EmmaError, match="too few views"):
        calibrate_camera(some[:5], SIZE)
    lens, flat = lens_of(), []
    for i in range(14):
        pose = rigid(np.zeros(3), np.array([-0.12 + 0.02 * (i % 5), -0.09 + 0.02 * (i // 5), 0.5]))
        flat.append(Corners(np.arange(35), lens.project(BOARD.points @ pose[:3, :3].T + pose[:3, 3])[0], BOARD.points))
    with pytest.raises(EmmaError) as error:
        calibrate_camera(flat, SIZE)
    assert "cover too little" in str(error.value) or "do not determine" in str(error.value)
    poses = [board_pose(view, lens) for view in flat]
    missing = coverage(flat, poses, SIZE).missing
    assert any("tilt the board" in line for line in missing)
    assert any("nearer and further" in line for line in missing)


def test_a_view_that_does_not_fit_is_named_and_left_out(arm: SimArm) -> None:
    some = views(lens_of(), arm)
    pixels = some[4].pixels.copy()
    pixels[: len(pixels) // 2] += 3.0
    some[4] = Corners(some[4].ids, pixels, some[4].points)
    result = calibrate_camera(some, SIZE, thin=True)
    assert result.outliers == ("view 4",)


@pytest.mark.slow
def test_a_bent_board_is_not_confirmed(arm: SimArm) -> None:
    with pytest.raises(EmmaError, match="held out"):
        calibrate_camera(views(lens_of(), arm, bent=0.008), SIZE, thin=True)
