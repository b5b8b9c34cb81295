"""The rows of one episode: indices, times, shapes, numbers, images."""

import io
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from lerobot.datasets.utils import DatasetInfo
from PIL import Image, UnidentifiedImageError

from emma.datasets.encode import is_depth
from emma.datasets.metadata import picture_size
from emma.datasets.validate_stats import add_numbers, add_picture

# LeRobot's own tolerance (LeRobotDataset.tolerance_s).
TOLERANCE_S = 1e-4
# Images that do not change over this share of an episode are frozen.
FROZEN_SHARE = 0.9
# Open at most this many files: datasets may have thousands.
OPEN_FILES = 4

Raw = tuple[str, str, str]


def check_episode(
    root: Path,
    info: DatasetInfo,
    row: Mapping[str, Any],
    tasks: Mapping[int, str],
    cache: dict[Path, pq.ParquetFile],
    every_image: bool,
    sums: dict[str, Any],
) -> Iterator[Raw]:
    """Findings in the data of one episode. sums: collects what `compare_stats` needs."""
    where = f"episode {row['episode_index']}"
    name = info.data_path.format(chunk_index=row["data/chunk_index"], file_index=row["data/file_index"])
    try:
        file = _open(root / name, cache)
    except (OSError, pa.ArrowException) as error:
        yield "error", where, f"{name} cannot be read: {str(error).splitlines()[0]}"
        return
    present = file.schema_arrow.names
    for key, feature in info.features.items():
        if key not in present and feature["dtype"] != "video":
            yield "error", where, f"{name} lacks the column {key}"
    columns = [key for key in info.features if key in present]
    try:
        table = _rows(file, columns, int(row["episode_index"]))
    except (OSError, pa.ArrowException) as error:
        yield "error", where, f"{name} cannot be read: {str(error).splitlines()[0]}"
        return
    if len(table) != row["length"]:
        yield "error", where, f"{len(table)} rows in {name}, expected {row['length']}"
    if not len(table):
        return
    yield from _check_indices(where, info, row, tasks, table)
    for key, feature in info.features.items():
        if key not in table.column_names or key in ("timestamp",):
            continue
        if feature["dtype"] == "image":
            yield from _check_images(f"{where}, {key}", key, feature, table[key], every_image, sums)
        elif feature["dtype"].startswith(("float", "int", "uint")):
            yield from _check_numbers(f"{where}, {key}", key, feature, table[key], sums)


def _open(path: Path, cache: dict[Path, pq.ParquetFile]) -> pq.ParquetFile:
    if path not in cache:
        while len(cache) >= OPEN_FILES:
            cache.pop(next(iter(cache))).close()
        cache[path] = pq.ParquetFile(path, page_checksum_verification=True)
    return cache[path]


def _rows(file: pq.ParquetFile, columns: list[str], episode: int) -> pa.Table:
    """The rows of one episode; row groups without it are not read."""
    groups = []
    for group in range(file.num_row_groups):
        numbers = file.read_row_group(group, columns=["episode_index"])["episode_index"]
        if pc.any(pc.equal(numbers, episode)).as_py():
            table = file.read_row_group(group, columns=columns)
            groups.append(table.filter(pc.equal(table["episode_index"], episode)))
    return pa.concat_tables(groups) if groups else file.schema_arrow.empty_table().select(columns)


def _check_indices(
    where: str, info: DatasetInfo, row: Mapping[str, Any], tasks: Mapping[int, str], table: pa.Table
) -> Iterator[Raw]:
    frames = np.arange(len(table))
    for name, expected in (("frame_index", frames), ("index", frames + row["dataset_from_index"])):
        if name in table.column_names:
            found = table[name].to_numpy()
            if not np.array_equal(found, expected):
                at = int(np.flatnonzero(found != expected)[0])
                yield "error", where, f"{name} is {found[at]} in row {at}, expected {expected[at]}"
    if "timestamp" in table.column_names:
        late = np.abs(table["timestamp"].to_numpy() - frames / info.fps)
        if not (late <= TOLERANCE_S).all():
            at = int(np.argmax(np.nan_to_num(late, nan=np.inf)))
            yield (
                "error",
                where,
                f"timestamp of frame {at} is {table['timestamp'][at].as_py()} s, expected {at / info.fps} "
                f"(frame_index / fps); LeRobot tolerates {TOLERANCE_S} s",
            )
    if "task_index" in table.column_names:
        unknown = set(table["task_index"].to_pylist()) - tasks.keys()
        if unknown:
            yield "error", where, f"task_index {sorted(unknown)} is not in the list of tasks"


def _check_numbers(
    where: str, key: str, feature: Mapping[str, Any], column: pa.ChunkedArray, sums: dict[str, Any]
) -> Iterator[Raw]:
    if column.null_count:
        yield "error", where, f"{column.null_count} rows without a value"
        return
    values = np.array(column.to_pylist())
    shape = () if tuple(feature["shape"]) == (1,) and values.ndim == 1 else tuple(feature["shape"])
    if values.dtype == object or values.shape[1:] != shape:
        found = "different lengths" if values.dtype == object else values.shape[1:]
        yield "error", where, f"shape {found}, the feature says {tuple(feature['shape'])}"
        return
    names = feature.get("names")
    if names is not None and isinstance(names, list) and len(names) != feature["shape"][0]:
        yield "error", where, f"{len(names)} names for {feature['shape'][0]} values"
    if not np.isfinite(values).all():
        frame = int(np.argwhere(~np.isfinite(values))[0][0])
        yield "error", where, f"{int((~np.isfinite(values)).sum())} values are not finite, the first in frame {frame}"
        return
    add_numbers(sums, key, values)


def _check_images(
    where: str, key: str, feature: Mapping[str, Any], column: pa.ChunkedArray, every: bool, sums: dict[str, Any]
) -> Iterator[Raw]:
    count = len(column)
    chosen = range(count) if every else sorted({0, count - 1})
    contents = [None if cell is None else cell.get("bytes") for cell in column.to_pylist()]
    empty = [i for i, content in enumerate(contents) if not content]
    if empty:
        yield "error", where, f"{len(empty)} images are missing, the first in frame {empty[0]}"
        return
    if count > 10 and sum(a == b for a, b in pairwise(contents)) > FROZEN_SHARE * count:
        yield "warning", where, f"frozen: almost all of its {count} images are the same"
    height, width = picture_size(feature)
    for frame in chosen:
        try:
            image = np.asarray(Image.open(io.BytesIO(contents[frame] or b"")))
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
            yield "error", where, f"image of frame {frame} cannot be decoded: {error}"
            return
        if image.shape[:2] != (height, width):
            yield "error", where, f"image of frame {frame} is {image.shape[:2]}, the feature says {(height, width)}"
            return
        if is_depth(feature) and image.dtype not in (np.uint16, np.float32, np.int32):
            yield "error", where, f"depth of frame {frame} is {image.dtype}, expected uint16 or float32"
            return
        if not is_depth(feature) and image.ndim == 3:
            add_picture(sums, key, image)
        if image.max() == image.min():
            yield "warning", where, f"image of frame {frame} has one colour only ({image.max()})"
