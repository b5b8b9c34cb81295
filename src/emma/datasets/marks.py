"""Which frames of a dataset a person gave while a policy was running: for training that weighs them differently."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from lerobot.datasets.utils import INFO_PATH

from emma.arrays import Array
from emma.datasets.index import PROVENANCE_PATH, read_provenance
from emma.errors import EmmaError


def intervention_frames(root: Path | str) -> Array:
    """(frames,) bool over a LeRobotDataset in its order: True where a person had taken the robot over from a policy.

    From `interventions` in meta/provenance.jsonl, ranges [first, end) of frames within an episode; a re-imagined
    episode has those of the one it was made from. All False for a dataset without provenance. Raises EmmaError if there
    is no dataset, or its provenance does not fit it.
    """
    root = Path(root)
    lengths = _lengths(root)
    provenance = read_provenance(root)
    if provenance and len(provenance) < len(lengths):
        raise EmmaError(
            f"{root / PROVENANCE_PATH} does not fit the dataset",
            found=f"{len(provenance)} lines",
            expected=f"one for each of {len(lengths)} episodes",
        )
    marked = np.zeros(sum(lengths), dtype=bool)
    start = 0
    for length, entry in zip(lengths, provenance, strict=False):
        for first, end in _ranges(entry):
            if not 0 <= first < end <= length:
                raise EmmaError(
                    f"{root / PROVENANCE_PATH} does not fit the dataset",
                    found=f"frames {first} to {end} of an episode",
                    expected=f"a range within its {length} frames",
                )
            marked[start + first : start + end] = True
        start += length
    return marked


def _ranges(entry: Mapping[str, Any]) -> Sequence[tuple[int, int]]:
    while "interventions" not in entry and "from" in entry:
        entry = entry["from"].get("provenance", {})
    return entry.get("interventions") or ()


def _lengths(root: Path) -> list[int]:
    """Of the episodes that count: a crash may leave a row too many."""
    files = sorted((root / "meta" / "episodes").rglob("*.parquet"))
    if not files or not (root / INFO_PATH).is_file():
        missing = "no meta/episodes" if not files else f"no {INFO_PATH}"
        raise EmmaError(f"{root} is not a LeRobotDataset", found=missing, expected="a LeRobotDataset v3")
    total = json.loads((root / INFO_PATH).read_text())["total_episodes"]
    tables: Iterable[Any] = (pq.read_table(file, columns=["episode_index", "length"]) for file in files)
    rows = [row for table in tables for row in zip(*(table[c].to_pylist() for c in table.column_names), strict=True)]
    return [length for number, length in sorted(rows) if number < total]
