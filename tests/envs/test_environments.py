"""Which environments there are, and what is said where a package is missing."""

import sys

import pytest

from emma.envs.environments import ENVIRONMENTS, environment_of, install, interpreter
from emma.errors import EmmaError
from emma.robots.spec import load_robot


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_environment_has_a_driver_a_robot_and_exact_versions(name):
    environment = ENVIRONMENTS[name]
    assert environment.driver.is_file()
    assert load_robot(name).simulator == name
    pins = environment.requirements.read_text().split()
    assert f"{environment.package}=={environment.version}" in pins
    assert all(pin.count("==") == 1 for pin in pins)


def test_an_unknown_environment_is_refused_with_those_there_are():
    with pytest.raises(EmmaError, match="no environment") as error:
        environment_of("franka")
    assert "so101" in str(error.value)


def test_a_missing_interpreter_names_the_line_that_installs_it(monkeypatch, tmp_path):
    monkeypatch.setenv("EMMA_ENVS", str(tmp_path))
    with pytest.raises(EmmaError, match="not installed") as error:
        interpreter(ENVIRONMENTS["so101"])
    assert error.value.fix == "emma envs install so101"
    assert interpreter(ENVIRONMENTS["so101"], sys.executable).is_file()


def test_an_installation_that_fails_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("EMMA_ENVS", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no_python"))
    monkeypatch.setattr("emma.envs.environments._uv", lambda: "")
    monkeypatch.setattr("emma.envs.environments.subprocess.run", _refuse)
    with pytest.raises(EmmaError, match="cannot be installed") as error:
        install(ENVIRONMENTS["so101"])
    assert "no such index" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def _refuse(command, **_):
    import subprocess

    return subprocess.CompletedProcess(command, 1, "", "no such index")
