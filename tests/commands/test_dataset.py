"""`emma dataset edit`: kept, listed, undone, applied."""

from pathlib import Path

import pytest
from dataset_of_numbers import write_dataset

from emma.cli import main
from emma.datasets.edits import load_edits
from emma.datasets.source import SourceDataset


def test_edits_are_kept_undone_and_applied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = write_dataset(tmp_path / "data", lengths=(6, 4)), tmp_path / "out"
    assert main(["dataset", "edit", str(root), "--relabel", "1", "other words", "--trim", "0", "1", "5"]) == 0
    assert [edit.kind for edit in load_edits(root).edits] == ["relabel", "trim"]
    assert main(["dataset", "edit", str(root), "--undo", "--split", "0", "2", "--failure", "1"]) == 0
    capsys.readouterr()
    assert main(["dataset", "edit", str(root), "--list"]) == 0
    assert "2 episodes become 3 with 10 frames" in capsys.readouterr().out
    assert main(["dataset", "edit", str(root), "--delete", "1", "--out", str(out)]) == 0
    assert [SourceDataset.open(out).length(i) for i in range(2)] == [2, 4]
    assert load_edits(root).edits == ()


@pytest.mark.parametrize("edit", [["--trim", "0", "3", "9"], ["--delete", "x"], ["--split", "9", "1"]])
def test_bad_edits_are_not_kept(tmp_path: Path, edit: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    root = write_dataset(tmp_path / "data", lengths=(4,))
    assert main(["dataset", "edit", str(root), *edit]) == 2
    assert "found" in capsys.readouterr().err
    assert load_edits(root).edits == ()
