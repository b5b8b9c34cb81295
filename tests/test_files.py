"""Whole or not there."""

import os
import stat

import pytest

from emma.errors import EmmaError
from emma.files import atomic_dir, atomic_write_text, room_for, sha256_tree


def test_a_failed_write_leaves_the_old_content(tmp_path, monkeypatch):
    file = tmp_path / "a.txt"
    atomic_write_text(file, "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        atomic_write_text(file, "new")
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left on device", "/x"), RuntimeError("I/O error: No space left on device (os error 28)")],
)
def test_no_room_is_told_plainly_whoever_finds_out(error):
    with pytest.raises(EmmaError, match="no room for a picture") as told, room_for("a picture", "make some"):
        raise error
    assert "No space left" in told.value.found
    assert told.value.fix == "make some"


@pytest.mark.parametrize("error", [OSError(13, "Permission denied"), ValueError("no"), KeyboardInterrupt()])
def test_other_errors_stay_what_they_are(error):
    with pytest.raises(type(error)), room_for("a picture", "make some"):
        raise error


def test_a_folder_appears_only_when_its_block_ends_well(tmp_path):

    def half_done():
        with atomic_dir(tmp_path / "out") as aside:
            (aside / "half").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half_done()
    assert os.listdir(tmp_path) == []
    with atomic_dir(tmp_path / "out") as aside:
        (aside / "whole").write_text("x")
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out" / "whole").read_text() == "x"


def test_a_folder_never_replaces_another(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError), atomic_dir(tmp_path / "out"):
        pass
    assert os.listdir(tmp_path) == ["out"]


def test_hash_follows_names_and_content_but_not_modes(tmp_path):
    (tmp_path / "a").write_text("1")
    first = sha256_tree(tmp_path)
    (tmp_path / "a").chmod(stat.S_IRUSR)
    (tmp_path / ".hidden").write_text("x")
    assert sha256_tree(tmp_path) == first
    (tmp_path / "a").rename(tmp_path / "b")
    assert sha256_tree(tmp_path) != first
