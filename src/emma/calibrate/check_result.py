"""The result of a check of one camera, kept beside its calibration. Light to import: nodes and the doctor read it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from emma.errors import EmmaError
from emma.files import atomic_write_text
from emma.records import decode, encode

FOLDER = "checks"
DEPTH = "depth"
# A camera that moved by more is to be calibrated again.
MOVED_PX, MOVED_MM = 5.0, 5.0


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """error_px, error_mm: how far the board is from where the calibration expects it, RMS over the views.

    how: board, depth or outline; for depth, error_px is its shift against the colour picture, and error_mm what scale
    and offset make at the board. picture: shows the error, where one was written.
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

    @property
    def file_name(self) -> str:
        """A check of depth stands beside one of the camera's place."""
        return f"{self.camera}.{DEPTH}.json" if self.how == DEPTH else f"{self.camera}.json"

    def lines(self) -> list[str]:
        """What was found, for a terminal."""
        size = f"{self.error_px:.1f} px, {self.error_mm:.1f} mm over {self.views} views"
        found = f"camera {self.camera} by {self.how}: {size}"
        if self.how == DEPTH:
            if not self.moved:
                return [f"{found}: depth lies on colour"]
            return [
                f"{found}: more than {MOVED_PX:g} px or {MOVED_MM:g} mm, so depth does not lie on colour",
                "to do: switch on the registration in the driver (align_depth, depth_registered), or correct its scale",
            ]
        if not self.moved:
            return [f"{found}: the calibration holds"]
        return [
            f"{found}: more than {MOVED_PX:g} px or {MOVED_MM:g} mm, so the camera moved since its calibration",
            f"to do: emma calibrate hand-eye {self.camera}",
        ]


def warnings_of(folder: Path, cameras: Sequence[str]) -> list[str]:
    """A line for each of a robot's cameras that had moved at its newest check. Files that are broken count as one."""
    lines = []
    for name in [name for camera in cameras for name in (camera, f"{camera}.{DEPTH}")]:
        try:
            result = load_check(folder, name)
        except EmmaError as error:
            lines.append(error.problem)
            continue
        if result is not None and result.moved:
            seen = f"; see {folder / result.picture}" if result.picture else ""
            lines.append(f"{result.lines()[0]} ({result.date}){seen}")
    return lines


def save_check(folder: Path, result: CheckResult) -> None:
    """Keep the newest check of a camera, for `emma doctor` and the policy's node."""
    atomic_write_text(folder / FOLDER / result.file_name, encode(result, indent=2) + "\n")


def load_check(folder: Path, name: str) -> CheckResult | None:
    """The newest check of a camera, or of `CAMERA.depth`, None where there was none. Raises EmmaError."""
    file = folder / FOLDER / f"{name}.json"
    return decode(CheckResult, file.read_text(), str(file)) if file.is_file() else None
