"""The geometry that the control branch sees: where on the table each cell lies, in step with the table's fields."""

import numpy as np
import pytest

from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.control import CELL, CHANNELS, WAVES, control
from emma.dreamtransfer.geometry import CameraGeometry

HEIGHT_M, SIZE = 0.5, 32
FIRST = 2 * CELL**2 + 3


def looking_down(x: float, y: float) -> np.ndarray:
    """(sine and cosine, waves, along x, y and both diagonals, ...) of what a camera above the table at x, y sees."""
    pose = np.diag([1.0, -1.0, -1.0, 1.0])
    pose[:3, 3] = x, y, HEIGHT_M
    camera = CameraGeometry(
        intrinsics=np.array([[60.0, 0.0, SIZE / 2], [0.0, 60.0, SIZE / 2], [0.0, 0.0, 1.0]]),
        base_from_camera=pose[None],
    )
    clip = Clip(
        images={"top": np.zeros((1, SIZE, SIZE, 3), np.uint8)},
        depth={"top": np.full((1, SIZE, SIZE), 1000 * HEIGHT_M, np.uint16)},
        cameras={"top": camera},
        fps=30,
    )
    found = control(clip)
    assert found.shape == (CHANNELS, 1, SIZE // CELL, SIZE // CELL)
    return found[FIRST:].reshape(2, len(WAVES[0]), 4, *found.shape[1:])


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("wave", range(5))
def test_a_wave_repeats_after_its_length_and_no_sooner(axis: int, wave: int) -> None:
    here = looking_down(0.2, 0.1)
    for share, same in ((1.0, True), (0.5, False)):
        moved = [0.2, 0.1]
        moved[axis] += share * WAVES[axis][wave]
        there = looking_down(*moved)
        assert np.allclose(here[:, wave, axis], there[:, wave, axis], atol=1e-3) == same
        assert np.allclose(here[:, :, 1 - axis], there[:, :, 1 - axis], atol=1e-3)


@pytest.mark.parametrize("wave", range(5))
def test_the_diagonals_hold_a_checker(wave: int) -> None:
    sine, cosine = looking_down(0.13, 0.07)[:, wave]
    assert np.allclose((cosine[3] - cosine[2]) / 2, sine[0] * sine[1], atol=1e-5)


def test_sines_and_cosines_belong_together() -> None:
    angles = looking_down(0.0, 0.0)
    # Of cell means: a wave shorter than what a cell sees would still be on the circle.
    assert np.allclose((angles**2).sum(axis=0), 1.0, atol=1e-5)
