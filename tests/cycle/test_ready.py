"""What is told before a cycle is started, instead of afterwards in a log."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from emma.cycle.config import ImproveConfig
from emma.cycle.cycle_supervisor import Attendant
from emma.cycle.ready import require_ready
from emma.errors import EmmaError


@pytest.fixture
def config(tmp_path: Path, tiny_config: Callable[..., ImproveConfig]) -> ImproveConfig:
    (tmp_path / "bags").mkdir()
    return tiny_config(tmp_path)


def test_a_cycle_that_can_begin(config: ImproveConfig) -> None:
    require_ready(config)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"bags": (), "datasets": ()}, "there is nothing to learn from"),
        ({"bags": ("/nowhere/bags",)}, "no such folder of episodes"),
        ({"datasets": ("/nowhere/dataset",)}, "no such dataset"),
        ({"policy": ""}, "there is no policy to begin with"),
        ({"robot": "so101"}, "the policy is for another robot"),
        ({"robot": "another"}, "unknown robot"),
    ],
)
def test_what_is_missing_is_told_by_the_answer_to_start(config: ImproveConfig, changes: dict, told: str) -> None:
    attendant = Attendant(replace(config, **changes), ())
    with pytest.raises(EmmaError, match=told):
        attendant.start()
    assert not config.root.exists(), "something was begun"


def test_a_cycle_that_ends_with_an_error_is_told_once(config: ImproveConfig) -> None:
    attendant = Attendant(config, ("--no-such-option",))
    attendant.start()
    assert attendant._child is not None
    attendant._child.wait(120.0)
    assert "unrecognized arguments: --no-such-option" in attendant.failure()
    assert attendant.failure() == ""
