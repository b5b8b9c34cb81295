"""Fast DDS profiles: used where nothing else was chosen and the memory is there, and no memory of the dead is kept."""

import fcntl
import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from emma.nodes import middleware
from emma.nodes.middleware import CHOSEN, PROFILES, PROFILES_VARIABLE, remove_abandoned, use_large_segments


def segment(shared: Path, name: str, age_s: float) -> Path:
    """A segment and its lock file, as Fast DDS makes them."""
    (shared / f"fastdds_{name}").write_bytes(bytes(100))
    lock = shared / f"fastdds_{name}_el"
    lock.touch()
    made = lock.stat().st_mtime - age_s
    os.utime(lock, (made, made))
    return lock


def test_segments_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    dead, young, alive = (16 * digit for digit in "012")
    segment(tmp_path, dead, age_s=60)
    segment(tmp_path, young, age_s=0)
    segment(tmp_path, "port7411", age_s=60)
    with segment(tmp_path, alive, age_s=60).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert remove_abandoned(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"fastdds_{name}{end}" for name in (young, alive, "port7411") for end in ("", "_el")
    ]


def test_profiles_are_named_where_nothing_was_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "NEEDED_BYTES", 1)
    environ: dict[str, str] = {}
    assert use_large_segments(environ, tmp_path)
    assert environ == {PROFILES_VARIABLE: str(PROFILES)}
    ElementTree.parse(PROFILES)


@pytest.mark.parametrize("name", CHOSEN)
def test_a_choice_of_the_user_stands(tmp_path: Path, name: str) -> None:
    environ = {name: "mine"}
    assert not use_large_segments(environ, tmp_path)
    assert environ == {name: "mine"}


def test_little_shared_memory_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "NEEDED_BYTES", 1 << 62)
    environ: dict[str, str] = {}
    assert not use_large_segments(environ, tmp_path)
    assert not use_large_segments(environ, tmp_path / "nowhere")
    assert environ == {}
