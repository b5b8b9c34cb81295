"""Broken metadata is named with its file, whatever is wrong with it."""

import json
from pathlib import Path

import pytest
from dataset_of_numbers import write_dataset

from emma.datasets.metadata import DatasetMetadata
from emma.datasets.source import SourceDataset
from emma.errors import EmmaError
from emma.training.frames import FrameTable, open_source


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data", [4, 3])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"fps": "ten"}, "fps is 'ten'"),
        ({"fps": 0}, "fps is 0"),
        ({"total_frames": -1}, "total_frames is -1"),
        ({"total_episodes": 3}, "2 episodes, meta/info.json counts 3"),
        ({"features": []}, "features is no object"),
        ({"features": {"action": {"dtype": "float32", "shape": "seven"}}}, "feature action has shape 'seven'"),
        ({"data_path": "/etc/{chunk_index}"}, "leaves the dataset"),
        ({"data_path": "{0}"}, "IndexError"),
        ({"codebase_version": "v1.6"}, "v1.6"),
    ],
)
def test_info_is_read_strictly(dataset: Path, change: dict, says: str) -> None:
    file = dataset / "meta/info.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    for use in (DatasetMetadata.open, SourceDataset.open, open_source):
        with pytest.raises(EmmaError) as caught:
            use(dataset)
        assert says in str(caught.value.found)


@pytest.mark.parametrize(
    "name", ["meta/info.json", "meta/stats.json", "meta/tasks.parquet", "meta/episodes/chunk-000/file-000.parquet"]
)
def test_a_file_that_was_cut_off_is_named(dataset: Path, name: str) -> None:
    file = dataset / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(EmmaError, match="cannot read the dataset") as caught:
        open_source(dataset)
    assert Path(name).parts[1].split("/")[0] in str(caught.value.found)


def test_instructions_without_a_list_of_tasks_are_those_of_the_episodes(dataset: Path) -> None:
    (dataset / "meta/tasks.parquet").unlink()
    source = open_source(dataset)
    assert "has no meta/tasks.parquet" in source.notes[0]
    table = FrameTable([source], ())
    assert table.tasks == ["task 0"] * 4 + ["task 1"] * 3
    assert list(source.meta.tasks.index) == ["task 0", "task 1"]
    assert SourceDataset.open(dataset).read(1).task == "task 1"
