"""Calibration on disk: what ROS reads, what is kept, what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from emma.bench.calibrate_rig import BOARD, Faults, SimArm, lens_of, make_rig, waypoints
from emma.calibrate.camera_info import check_same, disagreement_px
from emma.calibrate.coverage import Coverage
from emma.calibrate.diagnose import HandEye, calibrate_hand_eye
from emma.calibrate.files import load_intrinsics, mount_of, only_one, save_camera, save_hand_eye
from emma.calibrate.intrinsics import CameraResult
from emma.calibrate.record import load_record
from emma.dreamtransfer.geometry import CalibratedPoses
from emma.errors import EmmaError
from emma.robots.spec import Camera, Command, Joint, RobotSpec

COVERED = Coverage(20, np.ones((4, 6), int), {"left": 1, "right": 1, "top": 1, "bottom": 1}, (0.3, 0.7))


def result(held_out_px: float = 0.2, model: str = "plumb_bob") -> CameraResult:
    lens = lens_of(model)
    return CameraResult(
        lens=replace(lens, covariance=np.eye(len(lens.values)) * 1e-3),
        rms_px=held_out_px,
        held_out_px=held_out_px,
        focal_95=1e-3,
        names=("a", "b"),
        outliers=(),
        coverage=COVERED,
        poses=(),
    )


@pytest.fixture(scope="module")
def hand_eye(arm: SimArm, reach: np.ndarray) -> HandEye:
    rng = np.random.default_rng(11)
    rig = make_rig(arm, "base", rng, Faults(joint_noise=1e-3, grain=1.0))
    return calibrate_hand_eye(arm, rig.record(waypoints(rig, 12, rng, reach), rng, draw=False), rig.lens, "base", 0.03)


@pytest.mark.parametrize("model", ["plumb_bob", "rational_polynomial", "equidistant"])
def test_the_camera_file_has_what_camera_info_manager_reads(tmp_path: Path, model: str) -> None:
    path = save_camera(tmp_path, "top", result(model=model), BOARD)
    content = yaml.safe_load(path.read_text())
    assert (content["image_width"], content["image_height"], content["camera_name"]) == (640, 480, "top")
    for key, shape in (("camera_matrix", (3, 3)), ("rectification_matrix", (3, 3)), ("projection_matrix", (3, 4))):
        assert (content[key]["rows"], content[key]["cols"]) == shape
        assert len(content[key]["data"]) == shape[0] * shape[1]
    again = load_intrinsics(tmp_path, "top", (640, 480))
    assert again is not None
    assert again.model == model
    assert np.allclose(again.values, lens_of(model).values)
    assert again.covariance is not None
    record = load_record(tmp_path, "camera", "top")
    assert record is not None
    assert record.board == str(BOARD)
    assert record.versions["opencv"]


def test_a_worse_one_is_refused_and_the_old_one_kept(tmp_path: Path) -> None:
    save_camera(tmp_path, "top", result(0.2), BOARD)
    before = (tmp_path / "top.yaml").read_bytes()
    with pytest.raises(EmmaError, match="better than the new one") as error:
        save_camera(tmp_path, "top", result(0.5), BOARD)
    assert "--replace" in str(error.value)
    assert (tmp_path / "top.yaml").read_bytes() == before
    save_camera(tmp_path, "top", result(0.5), BOARD, replace=True)
    kept = list((tmp_path / "history").glob("top.*.yaml"))
    assert [file.read_bytes() for file in kept] == [before]


def test_a_file_without_a_record_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "top.yaml").write_text("camera_name: top\n")
    with pytest.raises(EmmaError, match="already has a calibration"):
        save_camera(tmp_path, "top", result(), BOARD)


def test_one_calibration_at_a_time(tmp_path: Path) -> None:
    with only_one(tmp_path), pytest.raises(EmmaError, match="another process"), only_one(tmp_path):
        pass


def test_extrinsics_with_covariance_are_read_by_the_geometry(tmp_path: Path, hand_eye: HandEye) -> None:
    save_camera(tmp_path, "top", result(), BOARD)
    (tmp_path / "extrinsics.yaml").write_text(
        yaml.safe_dump({"wrist": {"parent": "hand", "transform": np.eye(4).tolist()}})
    )
    path = save_hand_eye(tmp_path, "top", "top_optical_frame", "base", hand_eye, BOARD)
    entries = yaml.safe_load(path.read_text())
    assert entries["wrist"]["parent"] == "hand"
    assert np.array(entries["top"]["covariance"]).shape == (6, 6)
    assert entries["top"]["bound_95"]["mm"] > 0
    assert entries["top"]["board"] == str(BOARD)
    camera = Camera(name="top", image_topic="/top", width=640, height=480, rate_hz=30)
    spec = RobotSpec(
        name="arm",
        joints=(Joint(name="j", unit="rad", lower=-1, upper=1, velocity=1, acceleration=1),),
        cameras=(camera,),
        state_topic="/s",
        command=Command(topic="/c", kind="joint_trajectory"),
        control_rate_hz=10,
        fps=10,
        folder=tmp_path,
    )
    poses = CalibratedPoses.load(spec)(np.zeros((1, 1)))
    assert np.allclose(poses["top"].base_from_camera[0], hand_eye.estimate.x, atol=1e-6)
    known = mount_of(tmp_path, "top")
    assert known is not None
    assert known[0] == "base"
    assert len(list((tmp_path / "history").glob("extrinsics.*.yaml"))) == 1


def test_a_driver_that_contradicts_is_named() -> None:
    lens = lens_of()
    other = replace(lens, matrix=lens.matrix @ np.diag([1.05, 1.05, 1.0]))
    assert disagreement_px(lens, lens) < 1e-3
    check_same(lens, lens, "top.yaml")
    with pytest.raises(EmmaError, match=r"contradicts top\.yaml"):
        check_same(lens, other, "top.yaml")
    with pytest.raises(EmmaError, match="640 x 480"):
        check_same(lens, replace(lens, width=1280, height=960), "top.yaml")
