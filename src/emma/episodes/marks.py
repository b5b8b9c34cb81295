"""Which frames of a dataset a person gave while a policy was running: for training that weighs them differently."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from emma.episodes.index import PROVENANCE_PATH
from emma.errors import EmmaError


def intervention_frames(root: Path | str) -> np.ndarray:
    """(frames,) bool over a LeRobotDataset in its order: True where a person had taken the robot over from a policy.

    From `interventions` in meta/provenance.jsonl, ranges [first, end) of frames within an episode. All False for a
    dataset without provenance. Raises EmmaError if there is no dataset, or its provenance does not fit it.
    """
    root = Path(root)
    lengths = _lengths(root)
    provenance = _provenance(root)
    if provenance and len(provenance) < len(lengths):
        raise EmmaError(
            f"{root / PROVENANCE_PATH} does not fit the dataset",
            found=f"{len(provenance)} lines",
            expected=f"one for each of {len(lengths)} episodes",
        )
    marked = np.zeros(sum(lengths), dtype=bool)
    start = 0
    for length, entry in zip(lengths, provenance, strict=False):
        for first, end in entry.get("interventions") or ():
            if not 0 <= first < end <= length:
                raise EmmaError(
                    f"{root / PROVENANCE_PATH} does not fit the dataset",
                    found=f"frames {first} to {end} of an episode",
                    expected=f"a range within its {length} frames",
                )
            marked[start + first : start + end] = True
        start += length
    return marked


def _lengths(root: Path) -> list[int]:
    files = sorted((root / "meta" / "episodes").rglob("*.parquet"))
    if not files:
        raise EmmaError(f"{root} is not a LeRobotDataset", found="no meta/episodes", expected="a LeRobotDataset v3")
    tables: Iterable[Any] = (pq.read_table(file, columns=["episode_index", "length"]) for file in files)
    rows = [row for table in tables for row in zip(*(table[c].to_pylist() for c in table.column_names), strict=True)]
    return [length for _, length in sorted(rows)]


def _provenance(root: Path) -> list[dict[str, Any]]:
    path = root / PROVENANCE_PATH
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
