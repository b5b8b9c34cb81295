"""`emma envs` lists what can be driven and names the line that installs it."""

import pytest

from emma.cli import main
from emma.envs.environments import ENVIRONMENTS


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch, tmp_path):
    monkeypatch.setenv("EMMA_ENVS", str(tmp_path))


def test_the_list_names_the_line_that_installs(capsys):
    assert main(["envs"]) == 0
    said = capsys.readouterr().out
    for name, environment in ENVIRONMENTS.items():
        assert environment.package in said
        assert f"install {name}" in " ".join(said.split())


def test_an_environment_must_be_named_and_known(capsys):
    assert main(["envs", "install"]) == 2
    assert main(["envs", "install", "franka"]) == 2
    assert "so101" in capsys.readouterr().err


@pytest.mark.parametrize(
    "verb",
    [
        ["collect", "--robot", "so101", "--task", "push", "--episodes", "1", "--out"],
        ["record", "--robot", "so101", "--domain", "unseen_1", "--episodes", "1", "--out"],
        ["record", "--robot", "so101", "--operator", "keyboard", "--domain", "medium", "--out"],
        ["record", "--robot", "so101", "--operator", "keyboard", "--out"],
        ["demo", "--robot", "franka", "--out"],
    ],
)
def test_what_the_package_does_not_have_is_refused_before_anything_is_written(verb, capsys, tmp_path):
    out = tmp_path / "out"
    assert main([*verb, str(out)]) == 2
    assert "expected" in capsys.readouterr().err or not out.exists()
    assert not out.exists()
