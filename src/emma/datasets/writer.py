"""LeRobotDataset v3 on disk, one episode at a time: every episode is whole in the dataset or not in it.

LeRobot's own writer keeps Parquet files open over many episodes; killed, it leaves files without a footer and loses
them all. Here each episode has a data file of its own, put in place by a rename, and `meta/info.json`, replaced last,
says how many there are. What lies beyond that count is left over from a crash and removed at the next opening.
"""

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Any, Self

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from lerobot.datasets.compute_stats import get_feature_stats
from lerobot.datasets.feature_utils import get_hf_features_from_features
from lerobot.datasets.utils import DEFAULT_DATA_PATH, DEFAULT_VIDEO_PATH
from lerobot.utils.constants import DEFAULT_FEATURES

from emma.arrays import Array
from emma.datasets.encode import PLACED, EncodedEpisode, Frame, encode_episode, parquet_options
from emma.datasets.features import dataset_features
from emma.datasets.index import DatasetIndex
from emma.errors import EmmaError
from emma.robots.spec import RobotSpec


class DatasetWriter:
    """Creates a dataset at `root`, or appends to the one that is there.

    Not thread-safe, one writer per dataset. For parallel work let processes call `encode_episode` on files in `staging`
    and give the results to `add_encoded` in one process.
    """

    def __init__(
        self,
        root: Path | str,
        spec: RobotSpec,
        *,
        cameras: Iterable[str] | None = None,
        depth: bool = True,
        video: bool = False,
    ) -> None:
        """Raises EmmaError if `root` holds a dataset with other features, fps or robot.

        video: store colour as lossy video, as LeRobot does by default, instead of exact images.
        """
        self._open(Path(root), dataset_features(spec, cameras, depth, video), spec.fps, spec.name)

    @classmethod
    def of_features(cls, root: Path | str, features: Mapping[str, dict[str, Any]], fps: int, robot: str) -> Self:
        """A dataset with any features, such as those of another dataset; LeRobot's index columns are not among them."""
        writer = cls.__new__(cls)
        writer._open(Path(root), dict(features), fps, robot)
        return writer

    def _open(self, root: Path, features: dict[str, dict[str, Any]], fps: int, robot: str) -> None:
        self.root, self.features, self.fps = root, features, fps
        self._schema = arrow_schema(features)
        self._lock = _lock(root)
        try:
            self._index = DatasetIndex.open(root, features, fps, robot)
            for left in root.glob(".staging-*"):
                shutil.rmtree(left)
            self.staging = Path(mkdtemp(prefix=".staging-", dir=root))
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def num_episodes(self) -> int:
        return self._index.num_episodes

    @property
    def num_frames(self) -> int:
        return self._index.num_frames

    @property
    def provenance(self) -> list[dict[str, Any]]:
        """What made each episode, in order."""
        return self._index.provenance

    def add_episode(
        self, frames: Iterable[Frame], instruction: str, provenance: Mapping[str, Any] | None = None
    ) -> int:
        """Write one episode of (observation, action) pairs, 1 / fps apart; returns its index.

        action: (J,) float32, the command sent at that moment. On any error the dataset is as it was.
        """
        path = self.staging / f"{self.num_episodes:06d}.parquet"
        encoded = encode_episode(frames, self.features, self.fps, path)
        try:
            return self.add_encoded(encoded, instruction, provenance)
        finally:
            encoded.remove()

    def add_encoded(
        self, episode: EncodedEpisode, instruction: str, provenance: Mapping[str, Any] | None = None
    ) -> int:
        """Give an encoded episode its place in the dataset; returns its index. Its file is used up."""
        if not instruction.strip():
            raise EmmaError("an episode without an instruction", found=repr(instruction), expected="words for the task")
        number, first = self.num_episodes, self.num_frames
        task = self._index.task_index(instruction)
        columns = {
            "episode_index": np.full(episode.length, number, np.int64),
            "index": np.arange(first, first + episode.length, dtype=np.int64),
            "task_index": np.full(episode.length, task, np.int64),
        }
        chunk, file = self._index.next_file()
        target = self.root / DEFAULT_DATA_PATH.format(chunk_index=chunk, file_index=file)
        target.parent.mkdir(parents=True, exist_ok=True)
        placed = self.staging / f"placed-{number:06d}.parquet"
        self._place(episode.path, placed, columns)
        os.replace(placed, target)
        for key, video in episode.videos.items():
            target = self.root / DEFAULT_VIDEO_PATH.format(video_key=key, chunk_index=chunk, file_index=file)
            target.parent.mkdir(parents=True, exist_ok=True)
            _sync_file(video)
            os.replace(video, target)
        vectors = {**episode.vectors, **columns}
        stats = {**episode.image_stats, **{key: vector_stats(values) for key, values in vectors.items()}}
        self._index.add(
            length=episode.length,
            instruction=instruction,
            stats=stats,
            file=(chunk, file),
            provenance=provenance or {},
        )
        episode.remove()
        return number

    def _place(self, source: Path, target: Path, columns: Mapping[str, Array]) -> None:
        """Copy the encoded rows with the columns that depend on the place, row group by row group."""
        start = 0
        options = parquet_options(self.features)
        with pq.ParquetFile(source) as encoded, pq.ParquetWriter(target, self._schema, **options) as writer:
            for group in range(encoded.num_row_groups):
                table = encoded.read_row_group(group)
                for name in PLACED:
                    table = table.append_column(name, pa.array(columns[name][start : start + len(table)]))
                start += len(table)
                writer.write_table(_as_scalars(table.select(self._schema.names), self._schema).cast(self._schema))
        _sync_file(target)

    def finalize(self) -> None:
        """Tidy up and let others write. The dataset is complete after every episode; without any there is none."""
        if self._lock >= 0:
            shutil.rmtree(self.staging, ignore_errors=True)
            self._index.remove_if_empty()
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.finalize()


def arrow_schema(features: Mapping[str, dict[str, Any]]) -> pa.Schema:
    """The Parquet schema that LeRobot expects for `features`."""
    types: datasets.Features = get_hf_features_from_features({**features, **DEFAULT_FEATURES})
    return types.arrow_schema


def _as_scalars(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """LeRobot stores a vector of one value, as of a robot with one joint, as a plain number."""
    for number, column in enumerate(schema):
        if pa.types.is_floating(column.type) and pa.types.is_fixed_size_list(table.schema.field(number).type):
            table = table.set_column(number, column.name, pc.list_flatten(table.column(number)))
    return table


def vector_stats(values: Array) -> dict[str, Array]:
    """LeRobot's statistics of an (N, D) or (N,) array; float64 for every N, since tables must agree in type."""
    stats = get_feature_stats(values, axis=0, keepdims=values.ndim == 1)
    return {key: value if key == "count" else np.asarray(value, np.float64) for key, value in stats.items()}


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _lock(root: Path) -> int:
    """Hold the dataset folder against a second writer; a killed process lets go by itself."""
    root.mkdir(parents=True, exist_ok=True)
    return _locked(root, fcntl.LOCK_EX, "is in use by another process", "wait for it, or write to another folder")


@contextmanager
def reading(root: Path | str) -> Iterator[None]:
    """Keep writers away from the dataset at `root` while the block reads. EmmaError if one is at work."""
    lock = _locked(Path(root), fcntl.LOCK_SH, "is being written by another process", "wait until it is finished")
    try:
        yield
    finally:
        os.close(lock)


def _locked(root: Path, kind: int, problem: str, fix: str) -> int:
    lock = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise EmmaError(
            f"{root} {problem}",
            found="a lock on the folder",
            expected="one writer at a time, and no reader meanwhile",
            fix=fix,
        ) from None
    return lock
