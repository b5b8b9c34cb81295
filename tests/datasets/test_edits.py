"""Edits applied to a real dataset by LeRobot's functions and the writer: what comes out is a valid dataset."""

from pathlib import Path

import numpy as np
import pytest
from dataset_of_numbers import write_dataset

from emma.datasets.edits import Edit, EditList, apply_edits, edits_file, load_edits, preview, save_edits
from emma.datasets.features import STATE
from emma.datasets.files import encoded_images, vectors
from emma.datasets.index import read_provenance
from emma.datasets.source import SourceDataset
from emma.datasets.validate import validate
from emma.errors import EmmaError
from emma.files import sha256_tree


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("edits") / "data", lengths=(6, 8, 5))


def errors(root: Path) -> list[str]:
    return [str(finding) for finding in validate(root) if finding.level == "error"]


def test_all_kinds_together(dataset: Path, tmp_path: Path) -> None:
    before = sha256_tree(dataset)
    source = SourceDataset.open(dataset)
    edits = [
        Edit(kind="delete", episode=0),
        Edit(kind="split", episode=1, at=3),
        Edit(kind="trim", episode=1, first=1, end=7),
        Edit(kind="relabel", episode=1, at=5, words="push the <b>cube</b>"),
        Edit(kind="mark", episode=2, success=False),
        Edit(kind="merge", dataset=str(dataset)),
    ]
    assert apply_edits(dataset, edits, tmp_path / "out") == 6
    assert sha256_tree(dataset) == before
    assert errors(tmp_path / "out") == []
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]
    out = SourceDataset.open(tmp_path / "out")
    assert [out.length(i) for i in range(6)] == [5, 2, 4, 6, 8, 5]
    words = [out.read(i).task for i in range(6)]
    assert words[2] == "push the <b>cube</b>"
    assert words[:2] == [source.instruction(2), source.instruction(1)]
    original, part = source.read(1), out.read(2)
    key = next(name for name in original.rows.column_names if name.startswith("observation.images."))
    assert encoded_images(part.rows[key]) == encoded_images(original.rows[key])[3:7]
    np.testing.assert_array_equal(vectors(part.rows[STATE]), vectors(original.rows[STATE])[3:7])
    assert part.rows["frame_index"].to_pylist() == [0, 1, 2, 3]
    lines = read_provenance(tmp_path / "out")
    assert [line["episode_index"] for line in lines] == list(range(6))
    assert lines[0]["success"] is False
    assert lines[2]["edited"] == {"dataset": "data", "episode": 1, "frames": [3, 7]}


def test_a_part_alone_can_be_deleted(dataset: Path, tmp_path: Path) -> None:
    edits = [Edit(kind="split", episode=1, at=3), Edit(kind="delete", episode=1, at=0)]
    assert [len(part) for part in preview(SourceDataset.open(dataset), edits)] == [6, 5, 5]


def test_relabelling_alone_copies_the_rest(dataset: Path, tmp_path: Path) -> None:
    apply_edits(dataset, [Edit(kind="relabel", episode=0, words="other words")], tmp_path / "out")
    assert errors(tmp_path / "out") == []
    assert SourceDataset.open(tmp_path / "out").read(0).task == "other words"


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (Edit(kind="trim", episode=0, first=3, end=7), "no frames"),
        (Edit(kind="trim", episode=0, first=4, end=4), "no frames"),
        (Edit(kind="split", episode=0, at=0), "no frame to split"),
        (Edit(kind="delete", episode=9), "no such episode"),
        (Edit(kind="merge", dataset="/nowhere"), "not a LeRobotDataset"),
    ],
)
def test_a_bad_edit_leaves_nothing(dataset: Path, tmp_path: Path, edit: Edit, problem: str) -> None:
    with pytest.raises(EmmaError, match=problem):
        apply_edits(dataset, [edit], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_deleting_everything_is_refused(dataset: Path) -> None:
    with pytest.raises(EmmaError, match="nothing is left"):
        preview(SourceDataset.open(dataset), [Edit(kind="delete", episode=i) for i in range(3)])


def test_an_existing_folder_is_never_written_to(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(EmmaError, match="exists"):
        apply_edits(dataset, [Edit(kind="delete", episode=0)], tmp_path)


def test_edits_wait_beside_the_dataset_until_they_are_undone(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "data", lengths=(3, 3))
    edits = load_edits(root).adding(Edit(kind="delete", episode=0)).adding(Edit(kind="mark", episode=1, success=True))
    save_edits(root, edits)
    assert load_edits(root) == edits
    save_edits(root, load_edits(root).undone().undone())
    assert not edits_file(root).exists()
    with pytest.raises(EmmaError, match="nothing to undo"):
        load_edits(root).undone()


def test_edits_of_another_state_are_not_applied(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "data", lengths=(3, 3))
    save_edits(root, EditList(sha256="other", edits=(Edit(kind="delete", episode=0),)))
    with pytest.raises(EmmaError, match="has changed"):
        load_edits(root)
