"""The `meta` folder of a LeRobotDataset v3: counts, tasks, statistics, episodes, provenance; replaced file by file."""

import io
import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from lerobot.datasets.compute_stats import aggregate_stats
from lerobot.datasets.dataset_metadata import CODEBASE_VERSION
from lerobot.datasets.feature_utils import create_empty_dataset_info
from lerobot.datasets.io_utils import load_info, load_stats, load_tasks
from lerobot.datasets.utils import (
    DEFAULT_EPISODES_PATH,
    DEFAULT_TASKS_PATH,
    INFO_PATH,
    STATS_PATH,
    DatasetInfo,
    serialize_dict,
    update_chunk_file_indices,
)
from lerobot.utils.constants import DEFAULT_FEATURES
from lerobot.utils.utils import flatten_dict

from emma.arrays import Array
from emma.datasets.checksums import all_files, read_checksums, write_checksums
from emma.datasets.features import require_same
from emma.errors import EmmaError
from emma.files import atomic_write_bytes, atomic_write_text, sha256_file

# One line of JSON per episode, in order. LeRobot leaves files it does not know alone.
PROVENANCE_PATH = "meta/provenance.jsonl"
# A file of the episode table is rewritten with each of its episodes, so it stays small.
EPISODES_PER_FILE = 100


class DatasetIndex:
    """What a dataset says about itself, and how one more episode is added to it."""

    def __init__(self, root: Path, info: DatasetInfo) -> None:
        self.root = root
        self._info = info
        self._tasks: list[str] = []
        self._stats: dict[str, Any] | None = None
        self._last: dict[str, Any] | None = None
        self._rows: list[dict[str, Any]] = []
        self.provenance: list[dict[str, Any]] = []
        self._checksums: dict[str, str] = {}

    @classmethod
    def open(cls, root: Path, features: Mapping[str, dict[str, Any]], fps: int, robot: str) -> "DatasetIndex":
        """The index of the dataset at `root`, or of a new one. Raises EmmaError if what is there does not fit."""
        if not (root / INFO_PATH).exists():
            # Folders alone may be left of a crash at the very beginning; hidden files are such leftovers too.
            files = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
            strange = sorted(str(f) for f in files if not any(part.startswith(".") for part in f.parts))
            if strange:
                raise EmmaError(
                    f"{root} is not empty and not a dataset",
                    found=", ".join(strange[:5]),
                    expected=f"a new folder, or one with {INFO_PATH}",
                    fix="choose another folder",
                )
            info = create_empty_dataset_info(
                CODEBASE_VERSION,
                fps,
                {**features, **DEFAULT_FEATURES},
                use_videos=any(feature["dtype"] == "video" for feature in features.values()),
                robot_type=robot,
            )
            index = cls(root, info)
            (root / "meta").mkdir(parents=True, exist_ok=True)
            _write_info(root, info)
            return index
        index = cls(root, load_info(root))
        index._require(features, fps, robot)
        index._load()
        return index

    @property
    def num_episodes(self) -> int:
        return int(self._info.total_episodes)

    @property
    def num_frames(self) -> int:
        return int(self._info.total_frames)

    @property
    def _video_keys(self) -> list[str]:
        return [key for key, feature in self._info.features.items() if feature["dtype"] == "video"]

    def task_index(self, instruction: str) -> int:
        """The number of an instruction; a new one gets the next."""
        return self._tasks.index(instruction) if instruction in self._tasks else len(self._tasks)

    def next_file(self) -> tuple[int, int]:
        """Chunk and file number of the next data file."""
        if self._last is None:
            return 0, 0
        following: tuple[int, int] = update_chunk_file_indices(
            self._last["data/chunk_index"], self._last["data/file_index"], self._info.chunks_size
        )
        return following

    def add(
        self,
        *,
        length: int,
        instruction: str,
        stats: Mapping[str, Mapping[str, Array]],
        file: tuple[int, int],
        provenance: Mapping[str, Any],
    ) -> None:
        """Count one more episode whose files are in place, each with chunk and number `file`.

        `info.json` is last: it makes the episode exist.
        """
        number, first = self.num_episodes, self.num_frames
        at = self._episodes_file()
        videos = {
            f"videos/{key}/{name}": value
            for key in self._video_keys
            for name, value in (
                ("chunk_index", file[0]),
                ("file_index", file[1]),
                ("from_timestamp", 0.0),
                ("to_timestamp", length / self._info.fps),
            )
        }
        row = {
            "episode_index": number,
            "tasks": [instruction],
            "length": length,
            "data/chunk_index": file[0],
            "data/file_index": file[1],
            **videos,
            "dataset_from_index": first,
            "dataset_to_index": first + length,
            **{key: np.asarray(value).tolist() for key, value in flatten_dict({"stats": stats}).items()},
            "meta/episodes/chunk_index": at[0],
            "meta/episodes/file_index": at[1],
        }
        tasks = self._tasks if instruction in self._tasks else [*self._tasks, instruction]
        rows = [*self._rows_of(at), row]
        total = dict(stats) if self._stats is None else aggregate_stats([self._stats, dict(stats)])
        entries = [*self.provenance, {"episode_index": number, **provenance}]
        info = replace(
            self._info,
            total_episodes=number + 1,
            total_frames=first + length,
            total_tasks=len(tasks),
            splits={"train": f"0:{number + 1}"},
        )
        if tasks is not self._tasks:
            _write_tasks(self.root / DEFAULT_TASKS_PATH, tasks)
        table = self.root / DEFAULT_EPISODES_PATH.format(chunk_index=at[0], file_index=at[1])
        _write_parquet(table, pa.Table.from_pylist(rows))
        atomic_write_text(self.root / STATS_PATH, json.dumps(serialize_dict(total), indent=4))
        lines = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
        atomic_write_text(self.root / PROVENANCE_PATH, lines)
        _write_info(self.root, info)
        self._sum_up(number + 1, file, at)
        # Only now: after an error on the way this object still says what `info.json` says.
        self._info, self._tasks, self._rows, self._last = info, tasks, rows, row
        self._stats, self.provenance = total, entries

    def _sum_up(self, episodes: int, file: tuple[int, int], at: tuple[int, int]) -> None:
        """Checksums of the new episode's files and of what changed with it."""
        place = {"chunk_index": file[0], "file_index": file[1]}
        names = [self._info.data_path.format(**place)]
        names += [str(self._info.video_path).format(video_key=key, **place) for key in self._video_keys]
        names += [DEFAULT_EPISODES_PATH.format(chunk_index=at[0], file_index=at[1])]
        names += [str(name) for name in (DEFAULT_TASKS_PATH, STATS_PATH, PROVENANCE_PATH, INFO_PATH)]
        self._checksums |= {name: sha256_file(self.root / name) for name in names}
        write_checksums(self.root, episodes, self._checksums)

    def remove_if_empty(self) -> None:
        """A dataset without episodes cannot be opened."""
        if not self.num_episodes:
            for folder in ("meta", "data", "videos"):
                shutil.rmtree(self.root / folder, ignore_errors=True)
            with suppress(OSError):
                self.root.rmdir()

    def _episodes_file(self) -> tuple[int, int]:
        """Chunk and file number of the episode table's file for the next row."""
        if self._last is None:
            return 0, 0
        at = self._last["meta/episodes/chunk_index"], self._last["meta/episodes/file_index"]
        if len(self._rows) < EPISODES_PER_FILE:
            return at
        following: tuple[int, int] = update_chunk_file_indices(*at, self._info.chunks_size)
        return following

    def _rows_of(self, at: tuple[int, int]) -> list[dict[str, Any]]:
        same = self._last is not None and at == (
            self._last["meta/episodes/chunk_index"],
            self._last["meta/episodes/file_index"],
        )
        return self._rows if same else []

    def _load(self) -> None:
        """Read what is there, without what a crash left beyond `total_episodes`."""
        if self._info.total_tasks:
            tasks = load_tasks(self.root).sort_values("task_index")
            self._tasks = [str(task) for task in tasks.index][: self._info.total_tasks]
        files = sorted((self.root / "meta/episodes").glob("*/*.parquet"))
        for path in reversed(files):
            rows = [row for row in pq.read_table(path).to_pylist() if row["episode_index"] < self.num_episodes]
            if rows:
                self._rows, self._last = rows, rows[-1]
                break
            path.unlink()
        found = -1 if self._last is None else self._last["episode_index"]
        if found != self.num_episodes - 1:
            raise EmmaError(
                f"{self.root} is damaged",
                found=f"the episode table ends with {found}",
                expected=f"episode {self.num_episodes - 1}, after meta/info.json",
                fix=f"emma episodes validate {self.root}",
            )
        last = (-1, -1) if self._last is None else (self._last["data/chunk_index"], self._last["data/file_index"])
        files = [*self.root.glob("data/chunk-*/file-*.parquet"), *self.root.glob("videos/*/chunk-*/file-*.mp4")]
        for path in files:
            place = (int(path.parent.name.removeprefix("chunk-")), int(path.stem.removeprefix("file-")))
            if place > last:
                path.unlink()
        self._stats = load_stats(self.root) if self.num_episodes else None
        if self._stats is not None and int(self._stats["index"]["count"][0]) != self.num_frames:
            # Interrupted after the statistics and before the count: they speak of an episode that is not there.
            self._stats = self._aggregated()
        self.provenance = read_provenance(self.root)[: self.num_episodes]
        self._checksums = self._known_checksums()

    def _known_checksums(self) -> dict[str, str]:
        """Those that are stored; if there are none, or a crash left them behind, those of every file, stored anew."""
        with suppress(EmmaError):
            if (stored := read_checksums(self.root)) is not None and stored[0] == self.num_episodes:
                return stored[1]
        files = all_files(self.root)
        write_checksums(self.root, self.num_episodes, files)
        return files

    def _aggregated(self) -> dict[str, dict[str, Array]] | None:
        """The statistics of the dataset from those of its episodes, added up in the same order as they were."""
        total: dict[str, dict[str, Array]] | None = None
        for path in sorted((self.root / "meta/episodes").glob("*/*.parquet")):
            for row in pq.read_table(path).to_pylist():
                if row["episode_index"] >= self.num_episodes:
                    continue
                episode: dict[str, dict[str, Array]] = {}
                for key, value in row.items():
                    if key.startswith("stats/"):
                        _, feature, name = key.split("/")
                        episode.setdefault(feature, {})[name] = np.asarray(value)
                total = episode if total is None else aggregate_stats([total, episode])
        return total

    def _require(self, features: Mapping[str, dict[str, Any]], fps: int, robot: str) -> None:
        require_same(self._info.features, features, self.root)
        for name, there, wanted in (("fps", self._info.fps, fps), ("robot", self._info.robot_type, robot)):
            if there != wanted:
                raise EmmaError(
                    f"{self.root} holds a dataset of another {name}",
                    found=there,
                    expected=wanted,
                    fix="choose another folder",
                )


def _write_info(root: Path, info: DatasetInfo) -> None:
    atomic_write_text(root / INFO_PATH, json.dumps(info.to_dict(), indent=4))


def _write_tasks(path: Path, tasks: list[str]) -> None:
    frame = pd.DataFrame({"task_index": range(len(tasks))}, index=pd.Index(tasks, name="task"))
    text = io.BytesIO()
    frame.to_parquet(text)
    atomic_write_bytes(path, text.getvalue())


def read_provenance(root: Path | str) -> list[dict[str, Any]]:
    """What made each episode of the dataset at `root`, in order; empty for a dataset that is not ours."""
    path = Path(root) / PROVENANCE_PATH
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _write_parquet(path: Path, table: pa.Table) -> None:
    text = io.BytesIO()
    pq.write_table(table, text, compression="snappy", write_page_checksum=True)
    atomic_write_bytes(path, text.getvalue())
