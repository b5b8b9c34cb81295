"""Checks of calibrated cameras: what the newest `emma calibrate check` of each found."""

from pathlib import Path

from emma.calibrate.check_result import FOLDER, load_check
from emma.doctor.check import Check, ok, warn
from emma.errors import EmmaError
from emma.resources import data_dir


def calibrations(root: Path | None = None) -> Check:
    """A warning where a camera of a robot had moved at its last check."""
    try:
        robots = data_dir("calibration") if root is None else root
    except EmmaError as error:
        return warn("cameras", error.problem, error.fix or "")
    moved, held = [], 0
    for file in sorted(robots.glob(f"*/{FOLDER}/*.json")):
        folder = file.parents[1]
        try:
            result = load_check(folder, file.stem)
        except EmmaError as error:
            moved.append(str(error.problem))
            continue
        if result is None:
            continue
        if result.moved:
            where = f", see {folder / result.picture}" if result.picture else ""
            moved.append(f"{folder.name}/{result.camera}: {result.error_px:.1f} px, {result.error_mm:.1f} mm{where}")
        else:
            held += 1
    if moved:
        return warn(
            "cameras", f"moved since calibration: {'; '.join(moved)}", "run `emma calibrate hand-eye` for these"
        )
    return ok("cameras", f"{held} checked, none moved" if held else "none checked yet (emma calibrate check)")
