"""The doctor repeats what the newest check of each camera found."""

from dataclasses import replace
from pathlib import Path

from emma.calibrate.check_result import CheckResult, save_check
from emma.doctor.cameras import calibrations
from emma.doctor.check import Status

HELD = CheckResult(camera="top", how="board", date="2026-01-01T00:00:00Z", views=8, error_px=0.8, error_mm=1.2)


def test_a_camera_that_moved_is_a_warning_with_its_picture(tmp_path: Path) -> None:
    assert calibrations(tmp_path).status is Status.OK
    save_check(tmp_path / "my_arm", HELD)
    assert "1 checked, none moved" in calibrations(tmp_path).found
    save_check(tmp_path / "my_arm", replace(HELD, error_px=9.0, picture="checks/top.png"))
    found = calibrations(tmp_path)
    assert found.status is Status.WARN
    assert "my_arm/top: 9.0 px" in found.found
    assert "checks/top.png" in found.found


def test_a_broken_file_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "my_arm" / "checks").mkdir(parents=True)
    (tmp_path / "my_arm" / "checks" / "top.json").write_text("{")
    assert calibrations(tmp_path).status is Status.WARN
