"""The neutral table: `NAME.csv` or `NAME.parquet`, one row a moment, with its column map `NAME.yaml`.

Exports of Quest / Unity XRHand, HaMeR, WiLoR, VITRA and others come in this way (docs/how-to/human-video.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic.config import ConfigDict
from scipy.spatial.transform import Rotation

from emma.errors import EmmaError
from emma.human.hand_frame import POINTS, SIDES
from emma.human.recording import Recording
from emma.human.video import video_facts

FORMAT = "table"
SUFFIXES = (".csv", ".parquet")
SCALES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
XRHAND = (
    "Wrist",
    *(f"Thumb{part}" for part in ("Metacarpal", "Proximal", "Distal", "Tip")),
    *(
        f"{f}{part}"
        for f in ("Index", "Middle", "Ring", "Little")
        for part in ("Proximal", "Intermediate", "Distal", "Tip")
    ),
)
NAMES = {"plain": POINTS, "xrhand": XRHAND}
COORDINATES = ("opencv", "opengl", "unity")


@dataclass(frozen=True, kw_only=True)
class ColumnMap:
    """How to read a table.

    keypoints: column of one coordinate, with {side}, {point} and {axis} (x, y, z); points: the names that {point}
    takes, `plain` or `xrhand`; camera: column of world_from_camera with {entry} (x y z qx qy qz qw); confidence: column
    with {side}, or empty; coordinates: opencv (right-handed; camera x right, y down, z forward), opengl (right-handed;
    camera x right, y up, z backward) or unity (left-handed; x right, y up, z forward); time_unit_s: seconds of one unit
    of the time column; intrinsics: fx fy cx cy in pixels; video_start: time of the first video frame, in time units.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    video: str
    intrinsics: tuple[float, float, float, float]
    instruction: str = ""
    time: str = "time_s"
    time_unit_s: float = 1.0
    unit: str = "m"
    coordinates: str = "opencv"
    keypoints: str = "{side}_{point}_{axis}"
    points: str = "plain"
    camera: str = "camera_{entry}"
    confidence: str = ""
    video_start: float | None = None
    sides: tuple[str, ...] = SIDES

    def __post_init__(self) -> None:
        for key, value, allowed in (
            ("unit", self.unit, tuple(SCALES)),
            ("coordinates", self.coordinates, COORDINATES),
            ("points", self.points, tuple(NAMES)),
        ):
            if value not in allowed:
                raise ValueError(f"{key}: {value}, allowed are {', '.join(allowed)}")
        if not self.time_unit_s > 0:
            raise ValueError(f"time_unit_s: {self.time_unit_s}, allowed is a number above 0")


def read_table(path: Path) -> Recording:
    """Raises EmmaError for a bad column map, missing columns and text where numbers belong."""
    columns = _load_map(path.with_suffix(".yaml"))
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise EmmaError(f"{path} cannot be read", found=str(error), expected="a whole CSV or Parquet table") from None
    video = path.parent / columns.video
    facts = video_facts(video)
    times = _columns(table, path, [columns.time])[:, 0] * columns.time_unit_s
    scale, names = SCALES[columns.unit], NAMES[columns.points]
    points, confidence = {}, {}
    for side in columns.sides:
        wanted = [columns.keypoints.format(side=side, point=name, axis=axis) for name in names for axis in "xyz"]
        points[side] = _columns(table, path, wanted).reshape(-1, 21, 3) * scale
        if columns.confidence:
            confidence[side] = _columns(table, path, [columns.confidence.format(side=side)])[:, 0]
    entries = [columns.camera.format(entry=entry) for entry in ("x", "y", "z", "qx", "qy", "qz", "qw")]
    camera = _poses(_columns(table, path, entries), scale, path)
    points, camera = _to_opencv(points, camera, columns.coordinates)
    fx, fy, cx, cy = columns.intrinsics
    start = times[0] if columns.video_start is None else columns.video_start * columns.time_unit_s
    return Recording(
        format=FORMAT,
        files=(path, path.with_suffix(".yaml"), video),
        instruction=columns.instruction,
        times_s=times - times[0],
        points=points,
        confidence=confidence,
        camera=camera,
        intrinsics=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]),
        video=video,
        video_size=facts.size,
        video_times_s=facts.times_s + start - times[0],
    )


def _load_map(path: Path) -> ColumnMap:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        loaded: ColumnMap = TypeAdapter(ColumnMap).validate_python(raw)
    except OSError as error:
        raise EmmaError(f"no column map {path}", found=error.strerror, expected="NAME.yaml beside the table") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the map"
        raise EmmaError(f"{path}: bad value for {where}", found=first["input"], expected=first["msg"]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise EmmaError(f"{path} is not valid YAML", found=str(error).replace("\n", " ")) from None
    return loaded


def _columns(table: pd.DataFrame, path: Path, names: list[str]) -> np.ndarray:
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise EmmaError(
            f"{path} lacks columns",
            found=f"{len(missing)} missing: {', '.join(missing[:4])}",
            expected="every column that the map names",
            fix="correct `keypoints`, `points`, `camera` or `time` in the column map",
        )
    try:
        return table[names].to_numpy(np.float64)
    except ValueError as error:
        raise EmmaError(f"{path}: text where a number belongs", found=str(error), expected="numbers") from None


def _poses(rows: np.ndarray, scale: float, path: Path) -> np.ndarray:
    norms = np.linalg.norm(rows[:, 3:], axis=1)
    if not np.all(np.abs(norms - 1) < 1e-2):
        raise EmmaError(
            f"{path}: no camera pose in some rows",
            found=f"{int((~(np.abs(norms - 1) < 1e-2)).sum())} quaternions that are not of length 1",
            expected="qx qy qz qw of length 1 in every row",
            fix="leave rows without a camera pose out",
        )
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    poses[:, :3, :3] = Rotation.from_quat(rows[:, 3:]).as_matrix()
    poses[:, :3, 3] = rows[:, :3] * scale
    return poses


def _to_opencv(
    points: Mapping[str, np.ndarray], camera: np.ndarray, coordinates: str
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """World and camera axes as `Recording` has them."""
    if coordinates == "unity":
        flip = np.diag([1.0, 1.0, -1.0])
        mirror = np.diag([1.0, 1.0, -1.0, 1.0])
        points = {side: values @ flip for side, values in points.items()}
        camera = mirror @ camera @ mirror
    if coordinates in ("unity", "opengl"):
        camera = camera @ np.diag([1.0, -1.0, -1.0, 1.0])
    return dict(points), camera
