"""Every example runs as it is printed."""

import runpy
import sys
from pathlib import Path

import pytest

import emma

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(ROOT)

    def run(name: str, *words: object) -> str:
        (file,) = [path for path in EXAMPLES if path.name.startswith(f"{name}_")]
        monkeypatch.setattr(sys, "argv", [str(file), *map(str, words)])
        runpy.run_path(str(file), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_a_robot_and_its_kinematics(run) -> None:
    out = run("1")
    assert "desk_arm: 7 joints" in out
    assert "reached" in out


def test_a_policy_in_closed_loop(run) -> None:
    out = run("2", "models/desk_arm_source", 1)
    assert "run by onnxruntime" in out
    assert "source   success" in out


def test_bags_to_a_dataset(run, make_scene, spec, tmp_path, monkeypatch) -> None:
    make_scene(spec).record(tmp_path / "bags")
    monkeypatch.setattr("emma.api.load_robot", lambda name: spec)
    assert "holds 1 new episodes" in run("3", tmp_path / "bags", tmp_path / "dataset")


@pytest.mark.slow
def test_new_looks_then_training_then_a_cycle(run, tmp_path) -> None:
    assert "accepted" in run("4", tmp_path)
    assert "success" in run("5", tmp_path / "real", tmp_path / "dreams", tmp_path / "mine", 3)
    assert "cycle 1" in run("6", tmp_path / "real", tmp_path / "improve")


def test_examples_are_short_and_start_with_how_to_call_them() -> None:
    assert [path.name[0] for path in EXAMPLES] == list("123456")
    for path in EXAMPLES:
        text = path.read_text()
        assert f"python examples/{path.name}" in text.splitlines()[0]
        assert len(text.splitlines()) <= 30


def test_the_package_offers_what_it_names() -> None:
    assert all(callable(getattr(emma, name)) for name in emma.__all__)
    with pytest.raises(AttributeError, match="no attribute strange"):
        _ = emma.strange
