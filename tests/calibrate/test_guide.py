"""Views are taken when they are still, sharp and new."""

import numpy as np
import pytest

from emma.bench.calibrate_rig import BOARD, BoardCamera, Faults, lens_of
from emma.calibrate.guide import Guide, Status
from emma.calibrate.pinhole import rigid


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """The board at two places, and an empty table."""
    camera, rng = BoardCamera(lens_of(width=480, height=360), BOARD), np.random.default_rng(0)
    places = [[-0.13, -0.09, 0.42], [-0.08, -0.09, 0.42], [9.0, 0.0, 0.42]]
    return [camera.picture(rigid(np.array([0.3, 0, 0]), np.array(p))[None], Faults(), rng) for p in places]


def test_a_view_is_taken_once_when_it_is_still(pictures: list[np.ndarray]) -> None:
    guide = Guide(BOARD, (480, 360))
    here, there, nothing = pictures
    shown = [nothing, here, here, here, here, there, there, there, there]
    told = [guide.offer(picture, 0.2 * i, np.zeros(0)) for i, picture in enumerate(shown)]
    assert told[0] is Status.NO_BOARD
    assert told[1] is told[2] is Status.MOVING
    assert told[3] is Status.TAKEN
    assert told[4] is Status.KNOWN
    assert told[5] is Status.MOVING
    assert told[7:] == [Status.TAKEN, Status.KNOWN]
    assert [view.name for view in guide.views] == ["000.png", "001.png"]
    assert "10 more views" in guide.missing
    assert any("tilt the board" in line for line in guide.missing)
    assert len(guide.coverage.draw()) > 4


def test_the_same_picture_with_other_joints_is_a_new_view(pictures: list[np.ndarray]) -> None:
    guide = Guide(BOARD, (480, 360), poses=lambda joints: np.tile(np.eye(4), (len(joints), 1, 1)))
    for i in range(8):
        guide.offer(pictures[0], 0.2 * i, np.full(6, 0.0 if i < 4 else 0.5))
    assert len(guide.views) == 2
    assert any("more poses" in line for line in guide.missing)
