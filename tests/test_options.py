import argparse
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import pytest
import yaml

from emma.errors import EmmaError
from emma.options import add_options, build, chosen, option, yaml_example
from emma.training.config import TrainConfig, TrainOptions


@dataclass(frozen=True, kw_only=True)
class Section:
    share: float = option(0.5, help="of the samples")


@dataclass(frozen=True, kw_only=True)
class Settings:
    steps: int = option(10, help="how many, 100 % at most")
    look: str = option("none", choices=("none", "jitter"), help="of the pictures")
    ratio: float | None = option(None, metavar="SHARE", help="of what is not real")
    cameras: tuple[str, ...] | None = option(None, help="to use")
    keep: bool = option(False, help="also the rest")
    options: Mapping[str, Any] = option(default_factory=dict, flag="set", help="of the policy")
    section: Section = option(default_factory=Section, help="apart")
    inner: int = 3


def parse(*words: str, skip: tuple[str, ...] = ("section",)) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    add_options(parser, Settings, skip=skip)
    return chosen(Settings, parser.parse_args(words), skip=skip)


def test_no_flags_give_the_defaults() -> None:
    assert Settings(**parse()) == Settings()


def test_flags_become_fields() -> None:
    words = shlex.split("--steps 3 --look jitter --ratio 0.25 --cameras a b --keep --set dim=8 --set head=flow")
    given = Settings(
        steps=3, look="jitter", ratio=0.25, cameras=("a", "b"), keep=True, options={"dim": 8, "head": "flow"}
    )
    assert Settings(**parse(*words)) == given


@pytest.mark.parametrize("words", [["--steps", "many"], ["--look", "odd"], ["--inner", "3"]])
def test_values_of_another_kind_and_unknown_flags_end_with_usage(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        parse(*words)


def test_a_key_without_value_is_an_error() -> None:
    with pytest.raises(EmmaError, match="--set dim"):
        parse("--set", "dim")


def test_the_example_is_read_back_as_the_defaults_and_explains_every_key() -> None:
    text = yaml_example(Settings, "Two lines\nabove.")
    assert build(Settings, yaml.safe_load(text), "example") == Settings()
    assert text.startswith("# Two lines\n# above.\n")
    assert "of the pictures: none, jitter" in text
    assert "inner" not in text
    assert max(map(len, text.splitlines())) <= 120


def test_every_option_of_a_training_is_a_flag() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser, TrainConfig)
    assert {spec.name for spec in fields(TrainOptions)} <= set(vars(parser.parse_args([])))
