"""Rows in mapped files are the rows; what a whole augmentation holds does not grow with the episode."""

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emma.augmentation.clips import Tools
from emma.augmentation.config import AugmentConfig
from emma.augmentation.job import augment
from emma.datasets import spill_arrays, spill_tables
from emma.datasets.source import SourceDataset
from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.scorer import ClipScorer


def test_rows_of_an_episode_are_the_same_from_memory_and_from_a_file(source: Path) -> None:
    dataset = SourceDataset.open(source)
    columns = ["observation.images.top", "action", "frame_index", "episode_index"]
    for index in range(3):
        whole = pq.read_table(dataset.file(index), columns=columns, filters=[("episode_index", "=", index)])
        for ordinary in (1 << 30, 0):
            rows = spill_tables.episode_rows(dataset.file(index), columns, index, ordinary)
            assert rows.equals(whole.replace_schema_metadata(None))
            assert len(rows) == dataset.length(index)


def test_a_file_of_parts_holds_them_in_order_and_groups_them_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    def parts() -> Iterator[pa.Table]:
        for i in range(5):
            yield pa.table({"n": np.arange(10 * i, 10 * i + 10), "x": np.ones(10)})

    monkeypatch.setattr(spill_tables, "ROW_GROUP_BYTES", 300)
    one, other = (spill_tables.parquet_bytes(parts(), {}, ordinary) for ordinary in (1 << 30, 0))
    assert isinstance(one, bytes)
    assert isinstance(other, np.memmap)
    assert one == other.tobytes()
    file = pq.ParquetFile(pa.BufferReader(one))
    assert file.read()["n"].to_pylist() == list(range(50))
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [20, 20, 10]


def test_memory_does_not_grow_with_the_episode(
    tmp_path: Path, prompts: Callable, hue_shift: type, monkeypatch: pytest.MonkeyPatch, make_long: Callable
) -> None:
    class Mapped(hue_shift):  # type: ignore[valid-type,misc]
        def generate(self, clip: Clip, prompt: str, *, seed: int) -> dict[str, np.ndarray]:
            return {
                view: spill_arrays.stacked((i ^ 255 for i in images), len(images))
                for view, images in clip.images.items()
            }

    for function in (spill_arrays.empty, spill_arrays.stacked, spill_tables.episode_rows, spill_tables.parquet_bytes):
        monkeypatch.setattr(function, "__defaults__", (1,))
    tools = Tools(generator=Mapped, scorer=lambda: ClipScorer(at_once=8 * 2 * 96 * 128))
    held = {}
    for length in (16, 96):
        source = make_long(f"source-{length}", length)
        before = pa.total_allocated_bytes()
        rows = SourceDataset.open(source).read(0).rows
        assert pa.total_allocated_bytes() - before < 1 << 20, "rows lie in a file"
        assert len(rows) == length
        tracemalloc.start()
        augment(source, tmp_path / f"out-{length}", tools, prompts, AugmentConfig(variants=1, workers=1))
        held[length] = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
    # 80 frames more of two views are 16 MB as pictures, depth and copies, and more while they are judged.
    assert held[96] - held[16] < 5, held
