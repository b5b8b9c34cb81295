"""The rows of a dataset as arrays: vectors, tasks and times; its encoded pictures are handed on as they come."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emma.datasets.files import encoded_images
from emma.datasets.metadata import broken
from emma.errors import EmmaError
from emma.training.end_effector import columns_of
from emma.training.sources import Source

# Rows read at a time where they hold pictures: tens of MB at 640 x 480.
_PICTURE_ROWS, _ROWS = 64, 65_536
_INDEX = ("episode_index", "task_index", "timestamp")


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What a dataset's tables hold: vectors (N, D) by feature, tasks (N), times_s (N,), lengths (E,)."""

    vectors: dict[str, np.ndarray]
    tasks: list[str]
    times_s: np.ndarray
    lengths: np.ndarray


class Encoded(Protocol):
    def extend(self, encoded: Sequence[bytes]) -> None:
        """Append pictures as they are stored."""
        ...

    def black(self, count: int) -> None:
        """Append black pictures."""
        ...


def read_rows(source: Source, images: Mapping[str, Encoded]) -> Rows:
    """All rows of the episodes that count; `images` get the pictures that are stored in them, by camera.

    A camera that the dataset does not have is black. Raises EmmaError for tables that are broken or not whole.
    """
    stored = [camera for camera in images if camera in source.cameras and not source.films(camera)]
    absent = [camera for camera in images if camera not in source.cameras]
    numbers = columns_of(source.features)
    vectors: dict[str, list[np.ndarray]] = {key: [] for key in numbers}
    episodes, times = [], []
    tasks: list[str] = []
    for table in _tables(source, [*numbers, *_INDEX], stored):
        episode = table["episode_index"].to_numpy()
        for key in numbers:
            vectors[key].append(source.values(key, table[key]))
        episodes.append(episode)
        times.append(table["timestamp"].to_numpy())
        pairs = zip(episode.tolist(), table["task_index"].to_pylist(), strict=True)
        tasks += [source.meta.instruction(number, task) for number, task in pairs]
        for camera in stored:
            images[camera].extend(encoded_images(table[source.cameras[camera]]))
        for camera in absent:
            images[camera].black(len(table))
    if not episodes:
        raise _not_whole(source, "no rows in data/")
    return Rows(
        vectors={key: np.concatenate(parts) for key, parts in vectors.items()},
        tasks=tasks,
        times_s=np.concatenate(times),
        lengths=_lengths(source, np.concatenate(episodes)),
    )


def _tables(source: Source, filled: Sequence[str], stored: Sequence[str]) -> Iterator[pa.Table]:
    columns = [*filled, *(source.cameras[camera] for camera in stored)]
    for path in sorted((source.root / "data").rglob("*.parquet")):
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                missing = [name for name in columns if name not in file.schema_arrow.names]
                if missing:
                    raise _not_whole(source, f"{path.relative_to(source.root)} lacks {', '.join(missing)}")
                for batch in file.iter_batches(_PICTURE_ROWS if stored else _ROWS, columns=columns):
                    table = pa.Table.from_batches([batch])
                    if holes := [name for name in filled if table[name].null_count]:
                        raise _not_whole(source, f"{path.relative_to(source.root)} has no value in {holes[0]}")
                    # A conversion that was killed may have left an episode that does not count.
                    counted = table["episode_index"].to_numpy() < source.meta.total_episodes
                    if counted.any():
                        yield table if counted.all() else table.filter(counted)
        except (OSError, pa.ArrowException, ValueError) as error:
            raise broken(source.root, path.relative_to(source.root), error) from error


def _lengths(source: Source, episodes: np.ndarray) -> np.ndarray:
    """(E,) frames of each episode, which must be those of the episode table, one after the other."""
    begins = np.flatnonzero(np.diff(episodes, prepend=-1))
    lengths = np.diff(begins, append=len(episodes))
    expected = np.array([row["length"] for row in source.meta.episodes])
    if len(lengths) != len(expected) or not np.array_equal(episodes[begins], np.arange(len(expected))):
        raise _not_whole(source, f"episodes {_some(episodes[begins])} in data/, expected 0..{len(expected) - 1}")
    if (lengths != expected).any():
        number = int(np.flatnonzero(lengths != expected)[0])
        raise _not_whole(source, f"{lengths[number]} of {expected[number]} frames of episode {number}")
    return lengths


def _some(numbers: np.ndarray) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    return f"{shown}, ..." if len(numbers) > 5 else shown


def _not_whole(source: Source, found: str) -> EmmaError:
    return EmmaError(
        f"the dataset {source.root} is not whole",
        found=found,
        expected="the rows that meta/episodes counts",
        fix=f"see `emma episodes validate {source.root}`",
    )
