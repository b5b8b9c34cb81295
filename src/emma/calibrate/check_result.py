"""The result of a check of one camera, kept beside its calibration. Light to import: nodes and the doctor read it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from emma.errors import EmmaError
from emma.files import atomic_write_text
from emma.records import decode, encode

FOLDER = "checks"
# A camera that moved by more is to be calibrated again.
MOVED_PX, MOVED_MM = 5.0, 5.0


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


def warnings_of(folder: Path, cameras: Sequence[str]) -> list[str]:
    """A line for each of a robot's cameras that had moved at its newest check. Files that are broken count as one."""
    lines = []
    for camera in cameras:
        try:
            result = load_check(folder, camera)
        except EmmaError as error:
            lines.append(error.problem)
            continue
        if result is not None and result.moved:
            seen = f"; see {folder / result.picture}" if result.picture else ""
            lines.append(f"{result.lines()[0]} ({result.date}){seen}")
    return lines


def save_check(folder: Path, result: CheckResult) -> None:
    """Keep the newest check of a camera, for `emma doctor` and the policy's node."""
    atomic_write_text(folder / FOLDER / f"{result.camera}.json", encode(result, indent=2) + "\n")


def load_check(folder: Path, camera: str) -> CheckResult | None:
    """The newest check of a camera, None where there was none. Raises EmmaError for a broken file."""
    file = folder / FOLDER / f"{camera}.json"
    return decode(CheckResult, file.read_text(), str(file)) if file.is_file() else None
