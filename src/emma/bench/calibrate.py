"""Calibration against a simulated rig whose truth is known, drawn picture by picture and found by the real detector."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from emma.bench.calibrate_rig import (
    NOISY,
    Rig,
    SimArm,
    camera_poses,
    candidates,
    lens_of,
    make_rig,
    seen_corners,
    waypoints,
    without_faults,
)
from emma.bench.cells import ROOT, Cells
from emma.calibrate.closed_form import apart
from emma.calibrate.hand_eye import Mount, estimate, motions
from emma.calibrate.intrinsics import calibrate_camera
from emma.progress import progress_bar

HELP = "intrinsics and hand-eye of a simulated rig with known truth, without and with noise, beside plain OpenCV"
RUNS, QUICK_RUNS = 100, 10
EXACT_RUNS, QUICK_EXACT_RUNS = 10, 2
VIEWS, LENS_VIEWS = 20, 20
MOUNTS: tuple[Mount, ...] = ("hand", "base")
MODELS = ("plumb_bob", "rational_polynomial", "equidistant")
PLAIN = {
    "tsai": cv2.CALIB_HAND_EYE_TSAI,
    "park": cv2.CALIB_HAND_EYE_PARK,
    "horaud": cv2.CALIB_HAND_EYE_HORAUD,
    "daniilidis": cv2.CALIB_HAND_EYE_DANIILIDIS,
}
# Part of the cells' key: raised when the method changes, so that nothing old is taken for new.
METHOD = 2


def run(quick: bool, seed: int) -> dict[str, Any]:
    """intrinsics_error: relative error of the focal length, the worst of the noise-free runs; hand_eye_*: the same of
    the camera's place. noisy_*: 95th percentile over the runs with faults; interval_coverage: share of these in which
    the stated 95 % bounds of shift and turn both hold; vs_opencv_mm: mean error over that of OpenCV's best solver.
    """
    exact, noisy = (QUICK_EXACT_RUNS, QUICK_RUNS) if quick else (EXACT_RUNS, RUNS)
    arm = SimArm()
    reach = candidates(arm, number=20_000)
    rows: dict[str, list[dict[str, Any]]] = {"exact": [], "noisy": []}
    with tempfile.TemporaryDirectory(prefix="emma-bench-") as scratch, progress_bar() as bar:
        cells = Cells("calibrate", {"seed": seed, "method": METHOD}, Path(scratch) if quick else ROOT)
        task = bar.add_task("calibrate", total=exact + noisy, note="")
        for kind, count in (("exact", exact), ("noisy", noisy)):
            for number in range(count):
                row = cells.get(f"{kind}-{number}")
                if row is None:
                    row = _one(arm, reach, kind, number, seed)
                    cells.put(f"{kind}-{number}", row)
                rows[kind].append(row)
                bar.update(task, advance=1, note=f"{kind} {number + 1} of {count}")
    return _figures(rows["exact"], rows["noisy"])


def _one(arm: SimArm, reach: np.ndarray, kind: str, number: int, seed: int) -> dict[str, Any]:
    """Calibrate the lens of a rig, then the camera's place with that lens, and compare both with the truth."""
    rng = np.random.default_rng([seed, number, kind == "noisy"])
    mount = MOUNTS[number % 2]
    rig = make_rig(arm, mount, rng, NOISY)
    if kind == "exact":
        rig = replace(without_faults(rig), lens=lens_of(MODELS[number % 2]))
    lens_rig = replace(rig, faults=replace(rig.faults, exposure=0.0))
    seen = seen_corners(lens_rig, list(camera_poses(rig, LENS_VIEWS, rng)), rng)
    lens = calibrate_camera(seen, (rig.lens.width, rig.lens.height), rig.lens.model, thin=True)
    views = rig.record(waypoints(rig, VIEWS, rng, reach), rng)
    found = estimate(arm, views, lens.lens, mount)
    mm, deg = apart(found.x, rig.x)
    bound_mm, bound_deg = found.bound_95
    return {
        "mount": mount,
        "model": rig.lens.model,
        "views": len(views),
        "focal": float(np.abs(lens.lens.values[:2] / rig.lens.values[:2] - 1).max()),
        "held_out_px": lens.held_out_px,
        "mm": mm,
        "deg": deg,
        "bound_mm": bound_mm,
        "bound_deg": bound_deg,
        "delay_ms": found.delay_s[0] * 1000,
        **_plain(rig, views, seen, arm),
    }


def _plain(rig: Rig, views: list, seen: list, arm: SimArm) -> dict[str, float]:
    """The error in mm of OpenCV's own functions on the same corners: calibrateCamera, solvePnP, calibrateHandEye."""
    flags = cv2.CALIB_RATIONAL_MODEL if rig.lens.model == "rational_polynomial" else 0
    objects = [c.points.astype(np.float32) for c in seen]
    pixels = [c.pixels.astype(np.float32) for c in seen]
    size = (rig.lens.width, rig.lens.height)
    _, matrix, k, _, _ = cv2.calibrateCamera(objects, pixels, size, np.eye(3), np.zeros(5), flags=flags)
    boards = []
    for view in views:
        _, turn, shift = cv2.solvePnP(view.corners.points, view.corners.pixels, matrix, k)
        boards.append((cv2.Rodrigues(turn)[0], shift))
    gripper = np.linalg.inv(motions(arm, views, rig.mount))
    errors = {}
    for name, method in PLAIN.items():
        turn, shift = cv2.calibrateHandEye(
            [*gripper[:, :3, :3]], [*gripper[:, :3, 3]], [b[0] for b in boards], [b[1] for b in boards], method=method
        )
        errors[f"opencv_{name}_mm"] = float(np.linalg.norm(shift.reshape(3) - rig.x[:3, 3])) * 1000
    return errors


def _figures(exact: list[dict[str, Any]], noisy: list[dict[str, Any]]) -> dict[str, Any]:
    def column(rows: list[dict[str, Any]], key: str) -> np.ndarray:
        return np.array([row[key] for row in rows], float)

    holds = (column(noisy, "mm") <= column(noisy, "bound_mm")) & (column(noisy, "deg") <= column(noisy, "bound_deg"))
    plain = {name: float(column(noisy, f"opencv_{name}_mm").mean()) for name in PLAIN}
    return {
        "runs": len(noisy),
        "intrinsics_error": float(column(exact, "focal").max()),
        "hand_eye_mm": float(column(exact, "mm").max()),
        "hand_eye_deg": float(column(exact, "deg").max()),
        "noisy_intrinsics_error": float(np.percentile(column(noisy, "focal"), 95)),
        "noisy_hand_eye_mm": float(np.percentile(column(noisy, "mm"), 95)),
        "noisy_hand_eye_deg": float(np.percentile(column(noisy, "deg"), 95)),
        "noisy_mean_mm": float(column(noisy, "mm").mean()),
        "noisy_mean_deg": float(column(noisy, "deg").mean()),
        "bound_mm": float(column(noisy, "bound_mm").mean()),
        "bound_deg": float(column(noisy, "bound_deg").mean()),
        "interval_coverage": float(holds.mean()),
        "vs_opencv_mm": float(column(noisy, "mm").mean()) / min(plain.values()),
        **{f"opencv_{name}_mm": value for name, value in plain.items()},
    }
