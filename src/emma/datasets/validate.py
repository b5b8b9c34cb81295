"""What would break in a LeRobotDataset v3, whoever made it: found by reading it, told with numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
from lerobot.datasets.io_utils import load_info, load_stats, load_tasks
from lerobot.datasets.utils import DEFAULT_TASKS_PATH, INFO_PATH, STATS_PATH, DatasetInfo

from emma.datasets.encode import is_depth
from emma.datasets.features import INDEXES
from emma.datasets.index import PROVENANCE_PATH, read_provenance
from emma.datasets.validate_data import check_episode
from emma.errors import EmmaError


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is wrong. level: error (training or loading breaks, or learns something false) or warning."""

    level: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.level}: {self.where}: {self.message}"


def validate(root: Path | str, *, every_image: bool = False) -> list[Finding]:
    """All findings of the dataset at `root`; none means LeRobot loads it and nothing in it is odd.

    every_image: decode all images, not the first and the last of each episode. Raises EmmaError if there is no dataset.
    """
    root = Path(root)
    if not (root / INFO_PATH).is_file():
        raise EmmaError(
            f"no dataset at {root}",
            found="nothing" if not root.exists() else f"no {INFO_PATH}",
            expected="a LeRobotDataset v3 folder",
            fix="check the path",
        )
    return [Finding(level=level, where=where, message=text) for level, where, text in _findings(root, every_image)]


Raw = tuple[str, str, str]


def _findings(root: Path, every_image: bool) -> Iterator[Raw]:
    try:
        info = load_info(root)
    except (ValueError, TypeError, KeyError) as error:
        yield "error", INFO_PATH, f"cannot be read: {error}"
        return
    if not info.codebase_version.startswith("v3."):
        yield "error", INFO_PATH, f"dataset version {info.codebase_version}, LeRobot 0.6 reads v3.x"
        return
    missing = [name for name in INDEXES if name not in info.features]
    if missing:
        yield "error", INFO_PATH, f"features lack {', '.join(missing)}"
        return
    rows = list(_episode_rows(root))
    yield from _check_table(info, rows)
    tasks, findings = _tasks(root, info)
    yield from findings
    yield from _check_stats(root, info)
    yield from _check_extra_files(root, info, rows)
    yield from _check_provenance(root, info)
    cache: dict[Path, pq.ParquetFile] = {}
    for row in rows:
        yield from check_episode(root, info, row, tasks, cache, every_image)
        yield from _check_videos(root, info, row)


def _episode_rows(root: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((root / "meta/episodes").glob("*/*.parquet")):
        names = [name for name in pq.read_schema(path).names if not name.startswith("stats/")]
        yield from pq.read_table(path, columns=names).to_pylist()


def _check_table(info: DatasetInfo, rows: list[dict[str, Any]]) -> Iterator[Raw]:
    where = "meta/episodes"
    if len(rows) != info.total_episodes:
        yield "error", where, f"{len(rows)} episodes, {INFO_PATH} says {info.total_episodes}"
    frames = sum(row["length"] for row in rows)
    if frames != info.total_frames:
        yield "error", where, f"{frames} frames, {INFO_PATH} says {info.total_frames}"
    if not rows:
        yield "error", where, "no episodes"
    start = 0
    for number, row in enumerate(rows):
        if row["episode_index"] != number:
            yield "error", where, f"row {number} has episode_index {row['episode_index']}"
        if (row["dataset_from_index"], row["dataset_to_index"]) != (start, start + row["length"]):
            yield (
                "error",
                where,
                f"episode {number} covers {row['dataset_from_index']}..{row['dataset_to_index']}, "
                f"expected {start}..{start + row['length']}",
            )
        start = row["dataset_to_index"]
        if row["length"] < 2:
            yield "warning", where, f"episode {number} has {row['length']} frames"


def _tasks(root: Path, info: DatasetInfo) -> tuple[dict[int, str], list[Raw]]:
    path = root / DEFAULT_TASKS_PATH
    if not path.is_file():
        return {}, [("error", str(DEFAULT_TASKS_PATH), "is missing")]
    table = load_tasks(root)
    tasks = {int(number): str(task) for task, number in table["task_index"].items()}
    found: list[Raw] = []
    if sorted(tasks) != list(range(len(tasks))):
        found.append(("error", str(DEFAULT_TASKS_PATH), f"task_index is {sorted(tasks)}, expected 0..{len(tasks) - 1}"))
    if len(tasks) != info.total_tasks:
        found.append(("error", str(DEFAULT_TASKS_PATH), f"{len(tasks)} tasks, {INFO_PATH} says {info.total_tasks}"))
    found += [
        ("warning", str(DEFAULT_TASKS_PATH), f"task {n} has no words") for n, task in tasks.items() if not task.strip()
    ]
    return tasks, found


def _check_stats(root: Path, info: DatasetInfo) -> Iterator[Raw]:
    where, stats = STATS_PATH, load_stats(root)
    if stats is None:
        yield "error", where, "is missing: policies cannot normalise"
        return
    counted = int(np.ravel(stats.get("index", {}).get("count", [info.total_frames]))[0])
    if counted != info.total_frames:
        yield "warning", where, f"made of {counted} frames, the dataset has {info.total_frames}"
    for key, feature in info.features.items():
        if feature["dtype"] in ("string", "language"):
            continue
        found = stats.get(key)
        if found is None:
            if key not in INDEXES:
                yield "error", where, f"nothing about {key}"
            continue
        values = {name: np.asarray(value, np.float64) for name, value in found.items()}
        bad = [name for name, value in values.items() if not np.isfinite(value).all()]
        if bad:
            yield "error", where, f"{key}: {', '.join(bad)} not finite"
        elif {"min", "mean", "max"} <= values.keys():
            # Means are sums of rounded numbers; allow for it.
            slack = 1e-4 * (1 + np.abs(values["mean"]))
            if (values["min"] > values["mean"] + slack).any() or (values["mean"] > values["max"] + slack).any():
                yield "error", where, f"{key}: mean outside of min..max"
        if key not in INDEXES and not is_depth(feature) and (values.get("std", np.ones(1)) == 0).any():
            flat = np.flatnonzero(values["std"].ravel() == 0).tolist()
            yield "warning", where, f"{key} never changes in dimensions {flat}: normalising divides by almost nothing"


def _check_extra_files(root: Path, info: DatasetInfo, rows: list[dict[str, Any]]) -> Iterator[Raw]:
    used = {
        info.data_path.format(chunk_index=row["data/chunk_index"], file_index=row["data/file_index"]) for row in rows
    }
    for path in sorted((root / "data").glob("*/*.parquet")):
        name = path.relative_to(root).as_posix()
        if name not in used:
            yield "error", name, "belongs to no episode; LeRobot loads it all the same and counts wrong"


def _check_provenance(root: Path, info: DatasetInfo) -> Iterator[Raw]:
    try:
        entries = read_provenance(root)
    except ValueError as error:
        yield "warning", PROVENANCE_PATH, f"cannot be read: {error}"
        return
    if entries and len(entries) != info.total_episodes:
        yield "warning", PROVENANCE_PATH, f"{len(entries)} entries for {info.total_episodes} episodes"


def _check_videos(root: Path, info: DatasetInfo, row: dict[str, Any]) -> Iterator[Raw]:
    for key, feature in info.features.items():
        if feature["dtype"] != "video" or info.video_path is None:
            continue
        where = f"episode {row['episode_index']}, {key}"
        try:
            start, end = row[f"videos/{key}/from_timestamp"], row[f"videos/{key}/to_timestamp"]
            name = info.video_path.format(
                video_key=key,
                chunk_index=row[f"videos/{key}/chunk_index"],
                file_index=row[f"videos/{key}/file_index"],
            )
        except KeyError as error:
            yield "error", where, f"the episode table lacks {error}"
            continue
        try:
            with av.open(root / name) as container:
                stream = container.streams.video[0]
                length = float(stream.duration * stream.time_base) if stream.duration else 0.0
                size = (stream.height, stream.width)
        except (OSError, av.FFmpegError, IndexError) as error:
            yield "error", where, f"{name} cannot be opened: {error}"
            continue
        if end > length + 1.5 / info.fps:
            yield "error", where, f"{name} ends at {length:.3f} s, the episode needs {start:.3f}..{end:.3f} s"
        if size != tuple(feature["shape"][:2]) and size != tuple(feature["shape"][1:3]):
            yield "error", where, f"{name} is {size}, the feature {tuple(feature['shape'])}"
        if abs((end - start) * info.fps - row["length"]) > 1.5:
            yield "error", where, f"{(end - start) * info.fps:.1f} frames of video for {row['length']} frames of data"
