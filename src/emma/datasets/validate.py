"""What would break training in a LeRobotDataset from any source, with numbers and the fix."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from lerobot.datasets.io_utils import load_tasks
from lerobot.datasets.utils import DEFAULT_TASKS_PATH, INFO_PATH, STATS_PATH, DatasetInfo

from emma.datasets.checksums import CHECKSUMS_PATH, changed_files, read_checksums
from emma.datasets.features import INDEXES
from emma.datasets.files import dataset_root
from emma.datasets.index import PROVENANCE_PATH, read_provenance
from emma.datasets.legacy import OLD, current_version
from emma.datasets.metadata import read_info
from emma.datasets.validate_data import check_episode
from emma.datasets.validate_stats import check_stats, compare_stats
from emma.datasets.validate_video import check_videos
from emma.errors import EmmaError

Raw = tuple[str, str, str]
# What an episode must say of itself so that its frames can be found.
_NEEDED = (
    "episode_index",
    "length",
    "data/chunk_index",
    "data/file_index",
    "dataset_from_index",
    "dataset_to_index",
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is wrong. level: error (training or loading breaks, or learns something false) or warning."""

    level: str
    where: str
    message: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.level}: {self.where}: {self.message}" + (f"; to do: {self.fix}" if self.fix else "")


def validate(
    root: Path | str, *, full: bool = False, every_image: bool = False, progress: Callable[[str], None] | None = None
) -> list[Finding]:
    """All findings of the dataset at `root`; none means LeRobot loads it and nothing in it is odd.

    full: decode every picture and every video to its last frame, compare what they show with the statistics, and every
    file with its checksum where there is one. every_image: decode all images, not the first and the last of each
    episode. progress: told what is checked next. Raises EmmaError if there is no dataset.
    """
    root = dataset_root(root)
    check = _Check(root, full, every_image or full, progress or (lambda _: None))
    return [
        Finding(level=level, where=where, message=text, fix=_fix(root, where) if level == "error" else "")
        for level, where, text in check.findings()
    ]


@dataclass(frozen=True)
class _Check:
    root: Path
    full: bool
    every_image: bool
    progress: Callable[[str], None]

    def findings(self) -> Iterator[Raw]:
        try:
            info = read_info(self.root)
        except EmmaError as error:
            yield "error", INFO_PATH, f"cannot be read: {str(error.found).removeprefix(f'{INFO_PATH}: ')}"
            return
        if not info.codebase_version.startswith("v3."):
            yield from self._old(info.codebase_version)
            return
        missing = [name for name in INDEXES if name not in info.features]
        if missing:
            yield "error", INFO_PATH, f"features lack {', '.join(missing)}"
            return
        yield from _guarded(PROVENANCE_PATH, _check_provenance(self.root, info))
        yield from _guarded(CHECKSUMS_PATH, self._checksums(info))
        rows: list[dict[str, Any]] = []
        yield from _read_rows(self.root, rows)
        if any(info.features[key]["dtype"] == "video" for key in info.features) and not info.video_path:
            yield "error", INFO_PATH, "there are videos and no video_path"
        yield from _check_table(info, rows)
        tasks: dict[int, str] = {}
        yield from _read_tasks(self.root, info, tasks)
        stats: dict[str, Any] = {}
        yield from _guarded(STATS_PATH, check_stats(self.root, info, stats))
        whole = [row for row in rows if all(isinstance(row.get(name), int) for name in _NEEDED)]
        yield from _guarded("data", _check_extra_files(self.root, info, whole))
        self.progress("videos")
        yield from _guarded("videos", check_videos(self.root, info, whole, stats, self.full))
        yield from self._data(info, whole, tasks, stats)

    def _old(self, version: str) -> Iterator[Raw]:
        if version not in OLD:
            yield "error", INFO_PATH, f"dataset version {version}, LeRobot 0.6 reads v3.x"
            return
        try:
            place = current_version(self.root)
        except EmmaError as error:
            yield "error", INFO_PATH, f"dataset version {version} cannot be converted: {error.found}"
            return
        yield "warning", INFO_PATH, f"dataset version {version}; what follows is of its conversion in {place}"
        yield from _Check(place, self.full, self.every_image, self.progress).findings()

    def _checksums(self, info: DatasetInfo) -> Iterator[Raw]:
        try:
            stored = read_checksums(self.root)
        except EmmaError as error:
            yield "warning", CHECKSUMS_PATH, f"cannot be read: {error.found}"
            return
        if not self.full:
            return
        if stored is None or stored[0] != info.total_episodes:
            yield "warning", CHECKSUMS_PATH, "no checksums: a changed number or picture shows in the statistics only"
            return
        self.progress("checksums")
        for name in changed_files(self.root, stored[1]):
            yield "error", name, "is not as it was written (SHA-256)"

    def _data(
        self, info: DatasetInfo, rows: list[dict[str, Any]], tasks: Mapping[int, str], stats: Mapping[str, Any]
    ) -> Iterator[Raw]:
        cache: dict[Path, pq.ParquetFile] = {}
        sums: dict[str, Any] = {}
        for row in rows:
            where = f"episode {row['episode_index']}"
            self.progress(where)
            checked = check_episode(self.root, info, row, tasks, cache, self.every_image, sums)
            yield from _guarded(where, checked)
        yield from _guarded(STATS_PATH, compare_stats(info, stats, sums, pictures=self.full))


def _guarded(where: str, findings: Iterable[Raw]) -> Iterator[Raw]:
    """Whatever a broken file provokes is a finding."""
    try:
        yield from findings
    except Exception as error:  # pyarrow, av and numpy raise many kinds
        text = str(error).splitlines()[0] if str(error) else ""
        yield "error", where, f"cannot be checked: {type(error).__name__}: {text}"


def _read_rows(root: Path, rows: list[dict[str, Any]]) -> Iterator[Raw]:
    """Fill `rows` with the episode table, without its statistics."""
    for path in sorted((root / "meta/episodes").glob("*/*.parquet")):
        name = path.relative_to(root).as_posix()
        try:
            names = [name for name in pq.read_schema(path).names if not name.startswith("stats/")]
            found = pq.read_table(path, columns=names, page_checksum_verification=True).to_pylist()
        except (OSError, pa.ArrowException, ValueError) as error:
            yield "error", name, f"cannot be read: {str(error).splitlines()[0]}"
            continue
        missing = [key for key in _NEEDED if key not in names]
        if missing:
            yield "error", name, f"lacks {', '.join(missing)}"
            continue
        rows += found


def _check_table(info: DatasetInfo, rows: list[dict[str, Any]]) -> Iterator[Raw]:
    where = "meta/episodes"
    if len(rows) != info.total_episodes:
        yield "error", where, f"{len(rows)} episodes, {INFO_PATH} says {info.total_episodes}"
    for number, row in enumerate(rows):
        if holes := [key for key in _NEEDED if not isinstance(row.get(key), int)]:
            yield "error", where, f"row {number} has no {', '.join(holes)}"
            return
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
        if row["length"] < 1:
            yield "error", where, f"episode {number} has {row['length']} frames"


def _read_tasks(root: Path, info: DatasetInfo, tasks: dict[int, str]) -> Iterator[Raw]:
    """Fill `tasks`."""
    name = str(DEFAULT_TASKS_PATH)
    if not (root / DEFAULT_TASKS_PATH).is_file():
        yield "error", name, "is missing"
        return
    try:
        tasks |= {int(number): str(task) for task, number in load_tasks(root)["task_index"].items()}
    except Exception as error:  # pandas and pyarrow raise many kinds for a broken file
        yield "error", name, f"cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        return
    if sorted(tasks) != list(range(len(tasks))):
        yield "error", name, f"task_index is {sorted(tasks)}, expected 0..{len(tasks) - 1}"
    if len(tasks) != info.total_tasks:
        yield "error", name, f"{len(tasks)} tasks, {INFO_PATH} says {info.total_tasks}"
    for number, task in tasks.items():
        if not task.strip():
            yield "warning", name, f"task {number} has no words"


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
    except (ValueError, OSError) as error:
        yield "warning", PROVENANCE_PATH, f"cannot be read: {error}"
        return
    if entries and len(entries) != info.total_episodes:
        yield "warning", PROVENANCE_PATH, f"{len(entries)} entries for {info.total_episodes} episodes"


def _fix(root: Path, where: str) -> str:
    if where.startswith("episode "):
        number = where.split()[1].rstrip(",")
        return f"copy the dataset again, or leave the episode out: emma dataset edit {root} --delete {number} --out NEW"
    if where == STATS_PATH:
        return "copy it again, or let LeRobot compute it: python -m lerobot.scripts.augment_dataset_quantile_stats"
    return "copy the file again from where the dataset is whole"
