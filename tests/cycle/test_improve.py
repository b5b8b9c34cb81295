"""When a cycle begins, goes on, or has no reason to; the stages themselves are tested elsewhere."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from emma.bags.episode import EpisodeMeta
from emma.cycle.config import ImproveConfig, TrainSettings
from emma.cycle.cycle import Outcome, finish, load_cycle, outcome
from emma.cycle.improve import _open_cycle, versions_from
from emma.cycle.manifest import Manifest, Plan
from emma.errors import EmmaError


def record(config: ImproveConfig, name: str) -> None:
    folder = Path(config.bags[0]) / name
    folder.mkdir(parents=True)
    EpisodeMeta(id=name, robot="desk_arm", state="saved", success=True, instruction="put it in the bin").save(folder)


def end(folder: Path, *, converted: bool = True) -> None:
    if converted:
        (folder / "convert" / "dataset").mkdir(parents=True)
        Manifest(plan=Plan(stage="convert", version=1, settings={}, inputs={}, seed=1)).save(folder / "convert")
    finish(folder, Outcome(cycle=1, promoted=0, baseline=1))


@pytest.fixture
def config(tmp_path: Path, tiny_config: Callable[..., ImproveConfig]) -> ImproveConfig:
    (tmp_path / "bags").mkdir()
    return tiny_config(tmp_path)


def test_the_first_policy_becomes_version_one(config: ImproveConfig) -> None:
    assert versions_from(config).current == 1
    assert versions_from(config).numbers() == [1]
    with pytest.raises(EmmaError, match="for another robot"):
        versions_from(replace(config, robot="so101", out=config.out + "2"))
    with pytest.raises(EmmaError, match="no policy to begin with"):
        versions_from(replace(config, policy="", out=config.out + "2"))


def test_a_cycle_begins_for_new_episodes_and_keeps_what_it_began_with(config: ImproveConfig) -> None:
    versions = versions_from(config)
    assert _open_cycle(config, versions, False) is None
    record(config, "a")
    first = _open_cycle(config, versions, False)
    assert first is not None
    assert [e.id for e in first.inventory.episodes] == ["a"]
    # Interrupted: it goes on with what it had, and what was recorded meanwhile waits.
    record(config, "b")
    again = _open_cycle(config, versions, False)
    assert again == first == load_cycle(first.folder)
    end(first.folder)
    second = _open_cycle(config, versions, False)
    assert second is not None
    assert (second.number, [e.id for e in second.inventory.episodes]) == (2, ["b"])
    assert second.earlier == (str(first.stage("convert")),)
    end(second.folder)
    assert _open_cycle(config, versions, False) is None
    assert _open_cycle(replace(config, min_new_episodes=2), versions, False) is None


def test_another_configuration_is_a_reason_and_how_fast_is_none(config: ImproveConfig) -> None:
    versions = versions_from(config)
    record(config, "a")
    first = _open_cycle(config, versions, False)
    assert first is not None
    end(first.folder)
    assert _open_cycle(replace(config, train=replace(config.train, threads=4), keep=9), versions, False) is None
    assert _open_cycle(replace(config, train=TrainSettings(steps=9)), versions, False) is not None


def test_one_that_cannot_go_on_is_given_up_and_loses_no_episode(config: ImproveConfig) -> None:
    versions = versions_from(config)
    record(config, "a")
    first = _open_cycle(config, versions, False)
    assert first is not None
    second = _open_cycle(config, versions, True)
    assert second is not None
    ended = outcome(first.folder)
    assert ended is not None
    assert ended.reasons == ("given up",)
    assert (second.number, second.earlier, [e.id for e in second.inventory.episodes]) == (2, (), ["a"])
