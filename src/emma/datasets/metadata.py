"""The `meta` folder of a LeRobotDataset, read strictly: every broken file is named, and nothing is fetched."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from lerobot.datasets.io_utils import load_stats, load_tasks
from lerobot.datasets.utils import DEFAULT_TASKS_PATH, INFO_PATH, STATS_PATH, DatasetInfo

from emma.arrays import Array
from emma.datasets.encode import is_depth
from emma.datasets.files import dataset_root
from emma.datasets.legacy import current_version
from emma.errors import EmmaError
from emma.files import no_room

# Of a row of the episode table, what finds an episode's frames.
_ROW = ("episode_index", "length", "data/chunk_index", "data/file_index")
# Pixels a side that no camera has.
_LARGEST = 2**15
_COUNTS = ("total_episodes", "total_frames", "total_tasks")


@dataclass(frozen=True, kw_only=True)
class DatasetMetadata:
    """What a LeRobotDataset v3 states about itself.

    episodes: rows of the episode table that count, without statistics, in order; words: task number -> instruction;
    stats: feature -> name -> values; notes: what is missing and was put up with.
    """

    root: Path
    info: DatasetInfo
    episodes: tuple[Mapping[str, Any], ...]
    words: Mapping[int, str]
    stats: Mapping[str, Mapping[str, Array]]
    notes: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: Path | str) -> "DatasetMetadata":
        """The dataset at `path`; one of version 2.0 or 2.1 is converted into a cache first.

        Raises EmmaError, with the file, for a folder that is none and for one whose metadata is broken or empty.
        """
        root = current_version(dataset_root(path))
        info = read_info(root)
        try:
            rows = tuple(row for row in episode_rows(root) if row["episode_index"] < info.total_episodes)
        except (OSError, pa.ArrowException, KeyError, TypeError) as error:
            raise broken(root, "meta/episodes", error) from None
        if not rows or not info.total_frames:
            raise EmmaError(f"the dataset {path} is empty", found="0 frames", expected="at least one episode")
        require_rows(root, info, rows)
        words, notes = _words(root)
        return cls(root=root, info=info, episodes=rows, words=words, stats=_stats(root), notes=notes)

    @property
    def repo_id(self) -> str:
        return f"local/{self.root.name}"

    @property
    def features(self) -> dict[str, dict[str, Any]]:
        features: dict[str, dict[str, Any]] = self.info.features
        return features

    @property
    def fps(self) -> int:
        return int(self.info.fps)

    @property
    def robot_type(self) -> str | None:
        name: str | None = self.info.robot_type
        return name

    @property
    def total_frames(self) -> int:
        return int(self.info.total_frames)

    @property
    def total_episodes(self) -> int:
        return int(self.info.total_episodes)

    @cached_property
    def tasks(self) -> pd.DataFrame:
        """As LeRobot has them: `task_index` by instruction."""
        words = self.words or dict(enumerate(dict.fromkeys(self.instruction(i, -1) for i in range(len(self.episodes)))))
        return pd.DataFrame({"task_index": list(words)}, index=pd.Index(list(words.values()), name="task"))

    @property
    def image_keys(self) -> tuple[str, ...]:
        """Features that are colour pictures, in the dataset's order."""
        return tuple(k for k, f in self.features.items() if f["dtype"] in ("image", "video") and not is_depth(f))

    def instruction(self, episode: int, task: int) -> str:
        """The words of a task, else those that the episode table has; empty where there are none."""
        if task in self.words:
            return self.words[task]
        tasks = self.episodes[episode].get("tasks") or [""]
        return str(tasks[0])

    def size(self, key: str) -> tuple[int, int]:
        """Height and width of a picture feature, whichever order its names give."""
        return picture_size(self.features[key])

    def video_file(self, key: str, episode: int) -> Path:
        """The file that holds an episode's video of feature `key`, perhaps among others."""
        row = self.episodes[episode]
        return self.root / str(self.info.video_path).format(
            video_key=key, chunk_index=row[f"videos/{key}/chunk_index"], file_index=row[f"videos/{key}/file_index"]
        )

    def data_file(self, episode: int) -> Path:
        """The Parquet file that holds an episode's rows, perhaps among others."""
        row = self.episodes[episode]
        at = {"chunk_index": row["data/chunk_index"], "file_index": row["data/file_index"]}
        return self.root / str(self.info.data_path).format(**at)


def picture_size(feature: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of a picture feature, whichever order its names give."""
    shape, names = feature["shape"], feature.get("names") or []
    if names and str(names[0]).startswith("channel"):
        return int(shape[1]), int(shape[2])
    return int(shape[0]), int(shape[1])


def broken(root: Path, name: object, error: Exception) -> EmmaError:
    """What to raise for a file of the dataset at `root` that cannot be read. A full disk is passed on instead."""
    if no_room(error):
        raise error
    return EmmaError(
        f"cannot read the dataset {root}",
        found=f"{name}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
        expected="a whole LeRobotDataset",
        fix=f"see `emma episodes validate {root}`",
    )


def read_info(root: Path) -> DatasetInfo:
    """`meta/info.json` with every field of the kind that it must be. Raises EmmaError."""
    try:
        raw = json.loads((root / INFO_PATH).read_text())
        _require_info(raw)
        return DatasetInfo.from_dict(raw)
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise broken(root, INFO_PATH, error) from None


def _require_info(raw: Any) -> None:
    if not isinstance(raw, dict):
        raise ValueError(f"{type(raw).__name__}, expected an object")
    for name in ("codebase_version", "fps", "features"):
        if name not in raw:
            raise ValueError(f"{name} is missing")
    for name in _COUNTS:
        if not isinstance(raw.get(name, 0), int) or isinstance(raw.get(name, 0), bool) or raw.get(name, 0) < 0:
            raise ValueError(f"{name} is {raw[name]!r}, expected a whole number")
    fps = raw["fps"]
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps < 10_000 or fps != int(fps):
        raise ValueError(f"fps is {fps!r}, expected a whole number of Hz")
    if not isinstance(raw["codebase_version"], str):
        raise ValueError(f"codebase_version is {raw['codebase_version']!r}, expected text")
    if not isinstance(raw["features"], dict):
        raise ValueError("features is no object")
    for key, feature in raw["features"].items():
        _require_feature(key, feature)
    if not isinstance(raw.get("data_path", ""), str) or not isinstance(raw.get("video_path"), str | None):
        raise ValueError(f"data_path and video_path are {raw.get('data_path')!r} and {raw.get('video_path')!r}")
    for name, values in (("data_path", {}), ("video_path", {"video_key": "camera"})):
        template = raw.get(name)
        if raw["codebase_version"].startswith("v3.") and template:
            made = template.format(chunk_index=0, file_index=0, **values)
            if made.startswith("/") or ".." in Path(made).parts:
                raise ValueError(f"{name} is {template!r}, which leaves the dataset")


def _require_feature(key: str, feature: Any) -> None:
    if not isinstance(feature, dict) or not isinstance(feature.get("dtype"), str):
        raise ValueError(f"feature {key} has no dtype")
    shape = feature.get("shape")
    if not isinstance(shape, list) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise ValueError(f"feature {key} has shape {shape!r}, expected a list of numbers")
    picture = len(shape) in (2, 3) and min(shape) > 0 and max(shape) < _LARGEST
    if feature["dtype"] in ("image", "video") and not picture:
        raise ValueError(f"picture {key} has shape {shape}, expected height, width and channels")
    if not isinstance(feature.get("names"), list | dict | None):
        raise ValueError(f"feature {key} has names {feature['names']!r}")
    if not isinstance(feature.get("info"), dict | None):
        raise ValueError(f"feature {key} has info {feature['info']!r}")


def episode_rows(root: Path) -> Iterator[dict[str, Any]]:
    """The episode table without its statistics, by episode."""
    rows: list[dict[str, Any]] = []
    for path in sorted((root / "meta/episodes").glob("*/*.parquet")):
        names = [name for name in pq.read_schema(path).names if not name.startswith("stats/")]
        rows += pq.read_table(path, columns=names).to_pylist()
    yield from sorted(rows, key=lambda row: row["episode_index"])


def require_rows(root: Path, info: DatasetInfo, rows: tuple[Mapping[str, Any], ...]) -> None:
    """Raise EmmaError unless the episode table counts its episodes and finds their files."""
    videos = [key for key, feature in info.features.items() if feature["dtype"] == "video"]
    parts = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")
    needed = [*_ROW, *(f"videos/{key}/{part}" for key in videos for part in parts)]
    for number, row in enumerate(rows):
        missing = [name for name in needed if not isinstance(row.get(name), int | float)]
        if missing:
            raise broken(root, "meta/episodes", ValueError(f"episode {number} lacks {', '.join(missing)}"))
        if row["episode_index"] != number or row["length"] < 1:
            what = f"row {number} is episode {row['episode_index']} of {row['length']} frames"
            raise broken(root, "meta/episodes", ValueError(what))
    if len(rows) != info.total_episodes:
        what = f"{len(rows)} episodes, {INFO_PATH} counts {info.total_episodes}"
        raise broken(root, "meta/episodes", ValueError(what))


def _words(root: Path) -> tuple[dict[int, str], tuple[str, ...]]:
    if not (root / DEFAULT_TASKS_PATH).is_file():
        return {}, (f"{root.name} has no {DEFAULT_TASKS_PATH}: instructions are those of the episode table",)
    try:
        table = load_tasks(root)
        return {int(number): str(task) for task, number in table["task_index"].items()}, ()
    except Exception as error:  # pandas and pyarrow raise many kinds for a broken file
        raise broken(root, DEFAULT_TASKS_PATH, error) from None


def _stats(root: Path) -> dict[str, dict[str, Array]]:
    try:
        return load_stats(root) or {}
    except Exception as error:  # broken JSON, or JSON of other things
        raise broken(root, STATS_PATH, error) from None
