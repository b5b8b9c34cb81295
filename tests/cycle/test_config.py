"""The example file is the documentation, and what is wrong in a file is named."""

from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from emma.cli import main
from emma.cycle.config import ImproveConfig, example, load_config
from emma.errors import EmmaError
from emma.options import build


def test_example_has_every_key_with_its_default() -> None:
    raw = yaml.safe_load(example())
    assert build(ImproveConfig, raw, "example") == ImproveConfig()
    written, known = raw, asdict(ImproveConfig())
    assert set(written) == set(known)
    for name, values in known.items():
        if isinstance(values, dict):
            assert set(written[name]) == set(values), name


def test_example_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["improve", "--example"]) == 0
    assert capsys.readouterr().out == example()


def test_paths_are_from_the_folder_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "improve.yaml"
    file.write_text("bags: [bags, /data/bags]\npolicy: mine\naugment:\n  generator: dreams\n")
    config = load_config(file)
    assert config.bags == (str(tmp_path / "bags"), "/data/bags")
    assert (config.policy, config.out) == (str(tmp_path / "mine"), str(tmp_path / "improve"))
    assert config.augment.generator == str(tmp_path / "dreams")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("trian: {}", "trian"),
        ("train: {stepz: 3}", "stepz"),
        ("train: {steps: many}", "train: steps"),
        ("train: {steps: 0}", "steps"),
        ("train: [1]", "train"),
        ("bags: here", "bags"),
        ("keep: 1", "keep"),
        ("evaluate: {seed: 3}", "seed"),
        ("evaluate: {measure: luck}", "measure"),
        ("priority: {nice: 0}", "nice"),
        ("pause: {battery_below: 50}", "battery_below"),
        ("- a list", "improve.yaml"),
        ("{", "improve.yaml"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "improve.yaml"
    file.write_text(text)
    with pytest.raises(EmmaError) as caught:
        load_config(file)
    assert named in str(caught.value)
    assert "improve.yaml" in str(caught.value)


def test_numbers_without_a_point_are_numbers(tmp_path: Path) -> None:
    file = tmp_path / "improve.yaml"
    file.write_text("gate: {margin: 0}\nconvert:\n")
    assert load_config(file).gate.margin == 0.0
