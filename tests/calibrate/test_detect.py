"""Corners in drawn pictures, and the reason where there are none."""

from dataclasses import replace

import numpy as np
import pytest

from emma.bench.calibrate_rig import BOARD, BoardCamera, Faults, lens_of
from emma.calibrate.detect import Detector, explain
from emma.calibrate.pinhole import rigid

POSE = rigid(np.array([0.35, -0.25, 0.1]), np.array([-0.11, -0.08, 0.42]))


@pytest.fixture(scope="module")
def camera() -> BoardCamera:
    return BoardCamera(lens_of(), BOARD)


def picture(camera: BoardCamera, pose: np.ndarray = POSE, faults: Faults | None = None) -> np.ndarray:
    return camera.picture(pose[None], faults or Faults(), np.random.default_rng(0))


@pytest.mark.parametrize(("faults", "limit"), [(Faults(), 0.03), (Faults(light=0.6, grain=4.0), 0.05)])
def test_corners_are_where_they_are(camera: BoardCamera, faults: Faults, limit: float) -> None:
    found = Detector(BOARD).find(picture(camera, faults=faults))
    assert found is not None
    assert len(found) == len(BOARD.points)
    exact, _, _ = camera.lens.project(found.points @ POSE[:3, :3].T + POSE[:3, 3])
    assert np.sqrt(((found.pixels - exact) ** 2).sum(1).mean()) < limit
    assert found.blur_px < 4


def test_a_corner_under_a_finger_is_left_out(camera: BoardCamera) -> None:
    """Half of one corner is covered; where the others lie does not change."""
    exact, _, _ = camera.lens.project(BOARD.points @ POSE[:3, :3].T + POSE[:3, 3])
    image = picture(camera)
    column, row = exact[17].round().astype(int)
    image[row - 6 : row + 7, column : column + 7] = 120
    found = Detector(BOARD).find(image)
    assert found is not None
    assert len(found) >= len(BOARD.points) - 3
    assert np.linalg.norm(found.pixels - exact[found.ids], axis=1).max() < 0.1


def test_a_board_that_is_cut_off_gives_its_visible_corners(camera: BoardCamera) -> None:
    found = Detector(BOARD).find(picture(camera, rigid(np.array([0.35, -0.25, 0.1]), np.array([0.10, -0.08, 0.42]))))
    assert found is not None
    assert 8 <= len(found) < len(BOARD.points)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda image: image[:, ::-1], "mirrored"),
        (lambda image: np.full_like(image, 90), "no board in the picture"),
        (lambda image: np.where(np.arange(image.shape[1]) < 240, image, 90).astype(np.uint8), "cut off"),
    ],
)
def test_why_there_are_none(camera: BoardCamera, change, problem: str) -> None:
    image = np.ascontiguousarray(change(picture(camera)))
    assert Detector(BOARD).find(image) is None
    error = explain(image, BOARD)
    assert problem in str(error)
    assert error.fix


def test_another_board_is_named(camera: BoardCamera) -> None:
    other = replace(BOARD, dictionary="DICT_4X4_100")
    assert Detector(other).find(picture(camera)) is None
    assert "markers of DICT_5X5" in str(explain(picture(camera), other))
    smaller = replace(BOARD, columns=4, rows=3)
    assert "larger board" in str(explain(picture(camera), smaller))
