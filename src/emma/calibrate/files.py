"""Calibration on disk: `<camera>.yaml` as camera_info_manager reads it, `extrinsics.yaml`, records, and old ones."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from emma.calibrate.board import Board
from emma.calibrate.diagnose import HandEye
from emma.calibrate.intrinsics import CameraResult
from emma.calibrate.pinhole import Intrinsics
from emma.calibrate.record import CalibrationRecord, load_record, now, refuse_worse, save_record, tool_versions
from emma.errors import EmmaError
from emma.files import atomic_write_text
from emma.long_work import alone
from emma.robots.camera_file import read_camera, read_mapping

HISTORY = "history"
EXTRINSICS = "extrinsics.yaml"
HEAD = """\
# Where each camera is: its optical frame (x right, y down, z forward) in a parent frame; 4 x 4, row by row, metres.
# covariance: of a turn (rad; x, y, z), then a shift (m; x, y, z), of the optical frame along its own axes.
"""


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a robot's calibration folder. Raises EmmaError while another calibration has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        yield


def load_intrinsics(folder: Path, camera: str, size: tuple[int, int]) -> Intrinsics | None:
    """The intrinsics in force, with their covariance where a record has it; None without a file. Raises EmmaError."""
    file = folder / f"{camera}.yaml"
    if not file.is_file():
        return None
    matrix, lens = read_camera(file, size)
    record = load_record(folder, "camera", camera)
    coefficients = (0.0,) * 5 if lens is None else lens.coefficients
    covariance = None
    if record is not None and len(record.covariance) == 4 + len(coefficients):
        covariance = np.array(record.covariance)
    return Intrinsics(
        model="plumb_bob" if lens is None else lens.model,
        width=size[0],
        height=size[1],
        matrix=matrix,
        coefficients=coefficients,
        covariance=covariance,
    )


def camera_text(lens: Intrinsics, camera: str) -> str:
    """The YAML that ROS' camera_info_manager reads and writes (camera_calibration_parsers)."""
    k = lens.matrix
    projection = np.hstack([k, np.zeros((3, 1))])
    content = {
        "image_width": lens.width,
        "image_height": lens.height,
        "camera_name": camera,
        "camera_matrix": _matrix(k),
        "distortion_model": lens.model,
        "distortion_coefficients": _matrix(np.array([lens.coefficients])),
        "rectification_matrix": _matrix(np.eye(3)),
        "projection_matrix": _matrix(projection),
    }
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=1000)


def save_camera(folder: Path, camera: str, result: CameraResult, board: Board, *, replace: bool = False) -> Path:
    """Write `<camera>.yaml` and its record; what was there goes to history/. Raises EmmaError if that was better."""
    lens = result.lens
    assert lens.covariance is not None
    k = ("fx", "fy", "cx", "cy", *(f"d{i}" for i in range(len(lens.coefficients))))
    record = CalibrationRecord(
        kind="camera",
        camera=camera,
        date=now(),
        board=str(board),
        versions=tool_versions(),
        quality={"held_out_px": result.held_out_px, "focal_95": result.focal_95},
        figures={
            "rms_px": result.rms_px,
            "held_out_px": result.held_out_px,
            "focal_95": result.focal_95,
            "covered": result.coverage.filled,
        },
        covariance_of=k,
        covariance=_rows(lens.covariance),
        used=result.names,
        outliers=result.outliers,
    )
    target = folder / f"{camera}.yaml"
    if not replace:
        refuse_worse(folder, target, record, present=target.is_file())
    _keep(folder, target, record)
    head = f"# Calibrated {record.date} with {board}; {result.held_out_px:.3f} px on held-out views.\n"
    atomic_write_text(target, head + camera_text(lens, camera))
    save_record(folder, record)
    return target


def save_hand_eye(
    folder: Path, camera: str, frame_id: str, parent: str, result: HandEye, board: Board, *, replace: bool = False
) -> Path:
    """Write the camera's entry of `extrinsics.yaml` and its record; the file before goes to history/."""
    target, found = folder / EXTRINSICS, result.estimate
    entries = read_mapping(target) if target.is_file() else {}
    mm, deg = found.bound_95
    loo_mm, loo_deg = result.leave_one_out
    record = CalibrationRecord(
        kind="hand-eye",
        camera=camera,
        date=now(),
        board=str(board),
        versions=tool_versions(),
        quality={"bound_mm": mm, "bound_deg": deg},
        figures={
            "bound_mm": mm,
            "bound_deg": deg,
            "leave_one_out_mm": loo_mm,
            "leave_one_out_deg": loo_deg,
            "rms_px": result.rms_px,
            "delay_s": found.delay_s[0],
            "joint_noise": found.joint_noise,
        },
        covariance_of=("rx", "ry", "rz", "x", "y", "z"),
        covariance=_rows(found.covariance),
        used=result.names,
        outliers=result.outliers,
        notes=result.notes,
    )
    if not replace:
        refuse_worse(folder, target, record, present=camera in entries)
    _keep(folder, target, record)
    entries[camera] = {
        "parent": parent,
        "frame_id": frame_id,
        "transform": _rounded(found.x, 8),
        "covariance": _rounded(found.covariance, 12),
        "bound_95": {"mm": round(mm, 3), "degrees": round(deg, 4)},
        "residuals": {
            "rms_px": round(result.rms_px, 3),
            "leave_one_out_mm": round(loo_mm, 3),
            "leave_one_out_degrees": round(loo_deg, 4),
        },
        "views": len(result.names),
        "date": record.date,
        "board": record.board,
        "versions": record.versions,
    }
    atomic_write_text(target, HEAD + yaml.safe_dump(entries, sort_keys=False, default_flow_style=None, width=120))
    save_record(folder, record)
    return target


def mount_of(folder: Path, camera: str) -> tuple[str, np.ndarray] | None:
    """The parent frame of a camera and its pose in it (4, 4), None where `extrinsics.yaml` has none."""
    file = folder / EXTRINSICS
    entry: Any = read_mapping(file).get(camera) if file.is_file() else None
    if entry is None:
        return None
    try:
        return str(entry["parent"]), np.array(entry["transform"], np.float64).reshape(4, 4)
    except (KeyError, TypeError, ValueError):
        raise EmmaError(f"{file}: {camera} is not valid", found=entry, expected="parent and transform, 4 x 4") from None


def _keep(folder: Path, target: Path, new: CalibrationRecord) -> None:
    """Copy what is about to be replaced into history/, with the date at which it was replaced."""
    stamp = new.date.replace(":", "")
    old = folder / "records" / new.file_name
    for file in (target, old):
        if file.is_file():
            kept = folder / HISTORY / f"{file.stem}.{stamp}{file.suffix}"
            kept.parent.mkdir(exist_ok=True)
            shutil.copy2(file, kept)


def _matrix(values: np.ndarray) -> dict[str, Any]:
    return {"rows": values.shape[0], "cols": values.shape[1], "data": [float(f"{v:.12g}") for v in values.reshape(-1)]}


def _rounded(values: np.ndarray, digits: int) -> list[list[float]]:
    return [[round(float(v), digits) for v in row] for row in values]


def _rows(values: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(v) for v in row) for row in values)
