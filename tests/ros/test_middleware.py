"""Fast DDS profiles: used where nothing else was chosen and the memory is there, and no memory of the dead is kept."""

import fcntl
import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from emma.ros import middleware
from emma.ros.middleware import CHOSEN, PROFILES_VARIABLE, profile, profiles, remove_abandoned


def segment(shared: Path, name: str, age_s: float, *, locked: bool = True) -> Path:
    """A segment or port and its lock file, as Fast DDS makes them; returns the lock file."""
    paths = [shared / f"fastdds_{name}", shared / f"fastdds_{name}_el"]
    for path in paths if locked else paths[:1]:
        path.write_bytes(bytes(100))
        made = path.stat().st_mtime - age_s
        os.utime(path, (made, made))
    return paths[1]


@pytest.mark.parametrize("names", [tuple(16 * digit for digit in "012"), ("port7411", "port7413", "port17413")])
def test_segments_and_ports_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path, names: tuple) -> None:
    dead, young, alive = names
    segment(tmp_path, dead, age_s=60)
    segment(tmp_path, young, age_s=0)
    with segment(tmp_path, alive, age_s=60).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert remove_abandoned(tmp_path) == 1
    assert {path.name for path in tmp_path.iterdir()} == {
        f"fastdds_{name}{end}" for name in (young, alive) for end in ("", "_el")
    }


def test_ports_that_nobody_listens_to_go_and_shared_ones_stay(tmp_path: Path) -> None:
    segment(tmp_path, "port7411", age_s=60, locked=False)
    segment(tmp_path, "port7400", age_s=60, locked=False)
    (tmp_path / "fastdds_port7400_sl").touch()
    (tmp_path / "fastdds_portable").touch()
    assert remove_abandoned(tmp_path) == 1
    assert {path.name for path in tmp_path.iterdir()} == {
        "fastdds_port7400", "fastdds_port7400_sl", "fastdds_portable"
    }  # fmt: skip


def participant_of(text: str) -> str | None:
    return ElementTree.fromstring(text.encode()).findtext(".//{*}rtps/{*}participantID")


def test_a_process_has_profiles_of_its_own_while_it_joins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "NEEDED_BYTES", 1)
    environ = {"ROS_DOMAIN_ID": "99"}
    with profiles(environ, tmp_path) as text:
        assert Path(environ[PROFILES_VARIABLE]).read_text() == text
        assert "<segment_size>" in text
        assert participant_of(text) is not None
    assert environ == {"ROS_DOMAIN_ID": "99"}


@pytest.mark.parametrize("name", CHOSEN)
def test_a_choice_of_the_user_stands(tmp_path: Path, name: str) -> None:
    environ = {name: "mine"}
    with profiles(environ, tmp_path) as text:
        assert text == ""
        assert environ == {name: "mine"}
    assert environ == {name: "mine"}


@pytest.mark.parametrize("shared", [".", "nowhere"])
def test_little_shared_memory_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: str) -> None:
    monkeypatch.setattr(middleware, "NEEDED_BYTES", 1 << 62)
    with profiles({}, tmp_path / shared) as text:
        assert "segment_size" not in text
        assert participant_of(text) is not None


@pytest.mark.parametrize("large", [True, False])
def test_no_number_is_asked_for_where_all_are_taken(large: bool) -> None:
    assert participant_of(profile(None, large=large)) is None
    assert participant_of(profile(7, large=large)) == "7"
