"""Whether a camera is still where its calibration has it, from a few views of the board."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy.optimize import least_squares

from emma.calibrate.closed_form import mean_pose
from emma.calibrate.files import mount_of
from emma.calibrate.hand_eye import Mount, motions, twist
from emma.calibrate.motion import Arm, View
from emma.calibrate.pinhole import Intrinsics, board_pose, rigid
from emma.calibrate.record import now
from emma.errors import EmmaError
from emma.files import atomic_write_text
from emma.records import decode, encode

FOLDER = "checks"
# A camera that moved by more is to be calibrated again.
MOVED_PX, MOVED_MM = 5.0, 5.0
MIN_VIEWS = 4


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """error_px, error_mm: how far the board is from where the calibration expects it, RMS over the views.

    how: board, depth or outline. picture: shows it, where one was written.
    """

    VERSION: ClassVar[int] = 1
    camera: str
    how: str
    date: str
    views: int
    error_px: float
    error_mm: float
    picture: str = ""

    @property
    def moved(self) -> bool:
        return self.error_px > MOVED_PX or self.error_mm > MOVED_MM

    def lines(self) -> list[str]:
        """What was found, for a terminal."""
        size = f"{self.error_px:.1f} px, {self.error_mm:.1f} mm over {self.views} views"
        found = f"camera {self.camera} by {self.how}: {size}"
        if not self.moved:
            return [f"{found}: the calibration holds"]
        return [
            f"{found}: more than {MOVED_PX:g} px or {MOVED_MM:g} mm, so the camera moved since its calibration",
            f"to do: emma calibrate hand-eye {self.camera}",
        ]


def check_views(folder: Path, camera: str, arm: Arm, views: Sequence[View], lens: Intrinsics) -> CheckResult:
    """Fit only where the board lies, keep the camera as calibrated, and see what is left. Raises EmmaError."""
    known = mount_of(folder, camera)
    if known is None:
        raise EmmaError(
            f"camera {camera} has no calibration to check",
            found=f"no entry in {folder / 'extrinsics.yaml'}",
            expected="a calibrated camera",
            fix=f"run `emma calibrate hand-eye {camera}` first",
        )
    if len(views) < MIN_VIEWS:
        raise EmmaError(
            "too few views for a check",
            found=f"{len(views)} with the board",
            expected=f"at least {MIN_VIEWS}, from different poses of the arm",
            fix="move the arm between pictures, with the board in sight",
        )
    parent, x = known
    mount: Mount = "base" if parent == "base" else "hand"
    boards = [board_pose(view.corners, lens) for view in views]
    seen = np.stack([board.camera_from_board for board in boards])
    moved = np.linalg.inv(x) @ motions(arm, views, mount)
    start = mean_pose(np.linalg.inv(moved) @ seen)

    def error(step: np.ndarray) -> np.ndarray:
        predicted = moved @ start @ rigid(step[:3], step[3:])
        off = twist(predicted @ np.linalg.inv(seen))
        return np.concatenate([b.by_pose @ e for b, e in zip(boards, off, strict=True)])

    fitted = least_squares(error, np.zeros(6), loss="soft_l1", f_scale=2.0)
    y = start @ rigid(fitted.x[:3], fitted.x[3:])
    off = twist(moved @ y @ np.linalg.inv(seen))
    pixels = np.concatenate([(b.by_pose @ e).reshape(-1, 2) for b, e in zip(boards, off, strict=True)])
    shift = off[:, 3:] + np.cross(off[:, :3], seen[:, :3, 3])
    return CheckResult(
        camera=camera,
        how="board",
        date=now(),
        views=len(views),
        error_px=float(np.sqrt((pixels**2).sum(1).mean())),
        error_mm=float(np.sqrt((shift**2).sum(1).mean())) * 1000,
    )


def save_check(folder: Path, result: CheckResult) -> None:
    """Keep the newest check of a camera, for `emma doctor` and the policy's node."""
    atomic_write_text(folder / FOLDER / f"{result.camera}.json", encode(result, indent=2) + "\n")


def load_check(folder: Path, camera: str) -> CheckResult | None:
    """The newest check of a camera, None where there was none. Raises EmmaError for a broken file."""
    file = folder / FOLDER / f"{camera}.json"
    return decode(CheckResult, file.read_text(), str(file)) if file.is_file() else None
