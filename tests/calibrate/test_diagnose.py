"""What is wrong with a recording is named, not averaged."""

from dataclasses import replace

import numpy as np
import pytest

from emma.bench.calibrate_rig import Faults, Rig, SimArm, make_rig, waypoints
from emma.calibrate.closed_form import apart
from emma.calibrate.detect import Corners
from emma.calibrate.diagnose import calibrate_hand_eye
from emma.calibrate.motion import View
from emma.calibrate.pinhole import rigid
from emma.errors import EmmaError

SQUARE = 0.03
USUAL = Faults(joint_noise=1e-3, grain=1.0)


@pytest.fixture(scope="module")
def rig(arm: SimArm) -> Rig:
    return make_rig(arm, "hand", np.random.default_rng(5), USUAL)


@pytest.fixture(scope="module")
def way(rig: Rig, reach: np.ndarray) -> np.ndarray:
    return waypoints(rig, 16, np.random.default_rng(6), reach)


def record(rig: Rig, way: np.ndarray) -> list[View]:
    return rig.record(way, np.random.default_rng(7), draw=False)


def test_a_good_recording_passes_with_its_solvers(rig: Rig, way: np.ndarray) -> None:
    result = calibrate_hand_eye(rig.arm, record(rig, way), rig.lens, "hand", SQUARE)
    assert set(result.solvers) == {"park", "horaud", "andreff", "daniilidis"}
    assert apart(result.estimate.x, rig.x)[0] < 2
    assert result.outliers == ()
    assert 0 < result.leave_one_out[0] < 5


def test_the_wrong_mount(rig: Rig, way: np.ndarray) -> None:
    with pytest.raises(EmmaError, match="the other way round") as error:
        calibrate_hand_eye(rig.arm, record(rig, way), rig.lens, "base", SQUARE)
    assert "--mount hand" in str(error.value)


def test_a_square_that_was_typed_wrong(rig: Rig, way: np.ndarray) -> None:
    views = [
        replace(view, corners=Corners(view.corners.ids, view.corners.pixels, view.corners.points * 27 / 30))
        for view in record(rig, way)
    ]
    with pytest.raises(EmmaError, match="not as large as typed") as error:
        calibrate_hand_eye(rig.arm, views, rig.lens, "hand", 0.027)
    assert "27.00 mm typed" in str(error.value)
    told = float(str(error.value).split("motion gives ")[1].split(" mm")[0])
    assert told == pytest.approx(30, abs=0.3)


def test_a_board_that_moved(rig: Rig, way: np.ndarray) -> None:
    moved = replace(rig, y=rigid(np.zeros(3), np.array([0.0, 0.015, 0.0])) @ rig.y)
    views = record(rig, way)[:9] + record(moved, way)[9:]
    with pytest.raises(EmmaError, match="moved while") as error:
        calibrate_hand_eye(rig.arm, views, rig.lens, "hand", SQUARE)
    assert f"from {views[9].name}" in str(error.value)
    assert "15 mm" in str(error.value)


def test_one_view_with_other_joints_is_named(rig: Rig, way: np.ndarray) -> None:
    views = record(rig, way)
    views[6] = replace(views[6], joints=views[6].joints + 0.15, track=None)
    result = calibrate_hand_eye(rig.arm, views, rig.lens, "hand", SQUARE)
    assert result.outliers == (views[6].name,)
    assert apart(result.estimate.x, rig.x)[0] < 2


def test_a_joint_whose_zero_is_off_is_named(rig: Rig, way: np.ndarray) -> None:
    views = [replace(v, joints=v.joints - np.array([0, 0, 0.03, 0, 0, 0]), track=None) for v in record(rig, way)]
    result = calibrate_hand_eye(rig.arm, views, rig.lens, "hand", SQUARE)
    assert any(note.startswith("joint j3 seems off by 1.7") for note in result.notes), result.notes
