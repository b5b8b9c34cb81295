"""What made a calibration, beside its file: date, board, versions, residuals, covariance."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import ClassVar

from emma.errors import EmmaError
from emma.files import atomic_write_text
from emma.provenance import commit
from emma.records import decode, encode

FOLDER = "records"
# A new calibration this much wider than the old one is worse; less is chance.
WORSE = 1.25


@dataclass(frozen=True, kw_only=True)
class CalibrationRecord:
    """kind: camera or hand-eye. quality: the figures that decide whether another one is worse; smaller is better.

    covariance_of: the order of the rows of `covariance`.
    """

    VERSION: ClassVar[int] = 1
    kind: str
    camera: str
    date: str
    board: str
    versions: dict[str, str]
    quality: dict[str, float]
    figures: dict[str, float]
    covariance_of: tuple[str, ...]
    covariance: tuple[tuple[float, ...], ...]
    used: tuple[str, ...] = ()
    outliers: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def file_name(self) -> str:
        return f"{self.camera}.{self.kind}.json"


def now() -> str:
    """UTC, to the second, as in file names and records."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def tool_versions() -> dict[str, str]:
    """What computed the result."""
    import cv2

    return {"emma": metadata.version("emma-robot"), "commit": commit(), "opencv": cv2.__version__}


def load_record(folder: Path, kind: str, camera: str) -> CalibrationRecord | None:
    """The record of the calibration in force, None where there is none. Raises EmmaError for one that is broken."""
    file = folder / FOLDER / f"{camera}.{kind}.json"
    return decode(CalibrationRecord, file.read_text(), str(file)) if file.is_file() else None


def save_record(folder: Path, record: CalibrationRecord) -> None:
    atomic_write_text(folder / FOLDER / record.file_name, encode(record, indent=2) + "\n")


def refuse_worse(folder: Path, target: Path, new: CalibrationRecord, *, present: bool) -> None:
    """Raise EmmaError where a calibration in force is better than `new`, or nothing is known of it.

    present: whether `target` has a calibration of this camera.
    """
    if not present:
        return
    old = load_record(folder, new.kind, new.camera)
    if old is None:
        raise EmmaError(
            f"{target} already has a calibration of camera {new.camera}",
            found=f"no record of how good it is in {folder / FOLDER}",
            expected="a record to compare with",
            fix="add --replace to put the new one in its place; the old one is kept in history/",
        )
    worse = {k: (old.quality[k], v) for k, v in new.quality.items() if k in old.quality and v > WORSE * old.quality[k]}
    if worse:
        raise EmmaError(
            f"the calibration of camera {new.camera} in force is better than the new one",
            found="; ".join(f"{key} {now:.3g}, so far {before:.3g}" for key, (before, now) in worse.items()),
            expected=f"figures at most {WORSE:g} times those of {old.date}",
            fix="take more and better views, or add --replace: the old one is kept in history/",
        )
