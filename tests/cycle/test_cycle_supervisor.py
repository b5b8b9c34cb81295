"""What the learner node does without ROS: noticing episodes and versions, pausing, and leaving others' pauses alone."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from emma.cycle.config import ImproveConfig
from emma.cycle.cycle_supervisor import MINE, Attendant
from emma.cycle.pause import PAUSE_FILE
from emma.cycle.versions import Versions
from emma.errors import EmmaError


@pytest.fixture
def config(tmp_path: Path, tiny_config: Callable[..., ImproveConfig]) -> ImproveConfig:
    (tmp_path / "bags").mkdir()
    return tiny_config(tmp_path)


def promote(config: ImproveConfig) -> Versions:
    versions = Versions(config.root / "versions")
    versions.promote(
        versions.add(Path(config.policy), cycle=len(versions.numbers()), before=versions.current, figures={}), ""
    )
    return versions


def test_a_version_is_offered_once(config: ImproveConfig) -> None:
    versions = promote(config)
    attendant = Attendant(config, ())
    assert attendant.next_version() is None
    promote(config)
    assert attendant.next_version() == versions.path(2)
    assert attendant.next_version() is None
    # Somebody else rolls back, in a terminal.
    versions.roll_back()
    assert attendant.next_version() == versions.path(1)
    assert attendant.version_of(str(versions.folder / "current")) == 1
    assert attendant.version_of(config.policy) == 0
    with pytest.raises(EmmaError, match="is the first"):
        attendant.roll_back()


def test_pauses_of_others_are_left_alone(config: ImproveConfig) -> None:
    config.root.mkdir()
    file = config.root / PAUSE_FILE
    attendant = Attendant(config, ())
    attendant.pause("a tick was missed")
    assert file.read_text() == f"{MINE}a tick was missed\n"
    attendant.go_on()
    assert not file.exists()
    file.write_text("lunch")
    attendant.pause("a tick was missed")
    attendant.go_on()
    assert file.read_text() == "lunch"


def test_a_pause_of_one_that_was_killed_is_ended(config: ImproveConfig) -> None:
    config.root.mkdir()
    (config.root / PAUSE_FILE).write_text(f"{MINE}a tick was missed\n")
    Attendant(config, ())
    assert not (config.root / PAUSE_FILE).exists()


def test_starts_when_an_episode_is_new(config: ImproveConfig, tmp_path: Path) -> None:
    attendant = Attendant(config, ("--example",))
    assert not attendant.start_if_new()
    episode = tmp_path / "bags" / "one" / "episode.yaml"
    episode.parent.mkdir()
    episode.write_text("id: one\n")
    os.utime(episode, (1_800_000_000, 1_800_000_000))
    assert attendant.start_if_new()
    with pytest.raises(EmmaError, match="at work already"):
        attendant.start()
    attendant.stop()
    assert not attendant.start_if_new()
    os.utime(episode, (1_800_000_001, 1_800_000_001))
    assert attendant.start_if_new()
    attendant.stop()
