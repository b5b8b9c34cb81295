"""Depth against the board that colour sees: scale, offset and shift, from tilted views."""

from dataclasses import replace

import numpy as np
import pytest

from emma.bench.calibrate_rig import BOARD, lens_of
from emma.calibrate.check_result import load_check, save_check, warnings_of
from emma.calibrate.depth import check_depth, depth_error
from emma.calibrate.detect import Corners
from emma.calibrate.motion import View
from emma.calibrate.pinhole import Intrinsics, rigid
from emma.errors import EmmaError

LENS = lens_of()
# Turns (rad) of the board about its centre: to all four sides, and its distance (m).
TILTS = [
    (0.6, 0.0),
    (-0.6, 0.0),
    (0.0, 0.6),
    (0.0, -0.6),
    (0.45, 0.45),
    (-0.45, 0.45),
    (0.45, -0.45),
    (-0.45, -0.45),
] * 2


def views(
    tilts: list[tuple[float, float]] = TILTS,
    *,
    shift: tuple[float, float] = (0.0, 0.0),
    scale: float = 1.0,
    lens: Intrinsics = LENS,
) -> list[View]:
    """Corners as colour sees them, and depth (1 mm steps, 2 mm noise) that is shifted and scaled."""
    rng, found = np.random.default_rng(0), []
    rows, columns = np.mgrid[: lens.height, : lens.width]
    pixels = np.stack([columns, rows], -1).reshape(-1, 2) - np.array(shift)
    rays = lens.distortion.rays(pixels.astype(float), lens.matrix)
    for number, tilt in enumerate(tilts):
        pose = rigid(np.array([*tilt, 0.0]), np.array([0.0, 0.0, 0.42 + 0.02 * (number % 4)]))
        pose[:3, 3] -= pose[:3, :3] @ BOARD.centre
        seen, _, _ = lens.project(BOARD.points @ pose[:3, :3].T + pose[:3, 3])
        corners = Corners(np.arange(len(seen)), seen + rng.normal(0, 0.05, seen.shape), BOARD.points)
        plane = (pose[:3, 2] @ pose[:3, 3]) / (rays @ pose[:3, 2])
        depth = scale * plane.reshape(rows.shape) * 1000 + rng.normal(0, 2.0, rows.shape)
        depth[rng.random(rows.shape) < 0.2] = 0
        found.append(
            View(
                name=f"{number:03d}",
                corners=corners,
                joints=np.zeros(0),
                depth_mm=np.clip(np.rint(depth), 0, 65535).astype(np.uint16),
            )
        )
    return found


def test_registered_depth_holds() -> None:
    result, line = check_depth("top", views(), LENS)
    assert not result.moved
    assert result.error_px < 1.0
    assert result.error_mm < 1.0
    assert "depth lies (" in line
    assert "depth lies on colour" in result.lines()[0]


@pytest.mark.parametrize("shift", [(12.0, 0.0), (0.0, -8.0), (-9.0, 7.0)])
def test_a_shift_is_found_in_both_directions(shift: tuple[float, float]) -> None:
    found = depth_error(views(shift=shift), LENS)
    assert found.shift_px == pytest.approx(shift, abs=1.0)
    assert (np.abs(found.shift_px - shift) < 3 * found.sd[2:]).all()
    assert check_depth("top", views(shift=shift), LENS)[0].moved


def test_a_wrong_scale_is_found_and_does_not_look_like_a_shift() -> None:
    found = depth_error(views(scale=1.03), LENS)
    assert found.bias_m == pytest.approx(0.03 * 0.45, rel=0.1)
    assert np.abs(found.shift_px).max() < 1.0


def test_views_that_cannot_tell_are_refused() -> None:
    with pytest.raises(EmmaError, match="whether depth lies on colour") as flat:
        depth_error(views([(0.0, 0.0)] * 12), LENS)
    assert "tilt the board" in str(flat.value)
    with pytest.raises(EmmaError, match="left and right"):
        depth_error(views([(0.6, 0.0), (-0.6, 0.0)] * 6), LENS)
    with pytest.raises(EmmaError, match="too few views"):
        depth_error(views()[:3], LENS)
    empty = [replace(view, depth_mm=np.zeros((LENS.height, LENS.width), np.uint16)) for view in views()]
    with pytest.raises(EmmaError, match="hardly a reading"):
        depth_error(empty, LENS)


def test_the_result_stands_beside_the_check_of_the_cameras_place(tmp_path) -> None:
    result, _ = check_depth("top", views(shift=(15.0, 0.0)), LENS)
    save_check(tmp_path, result)
    assert load_check(tmp_path, "top") is None
    assert load_check(tmp_path, "top.depth") == result
    assert "does not lie on colour" in warnings_of(tmp_path, ["top"])[0]
