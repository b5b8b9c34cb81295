"""What `emma bench robots` says of kinematics, and where no simulator is installed."""

import pytest

from emma.bench.robots import kinematics_error, run, run_with
from emma.envs.environments import ENVIRONMENTS
from emma.errors import EmmaError
from emma.robots.spec import load_robot


def test_without_any_simulator_it_names_the_line_that_installs_one(monkeypatch, tmp_path):
    monkeypatch.setenv("EMMA_ENVS", str(tmp_path))
    with pytest.raises(EmmaError, match="no simulator of others") as error:
        run(True, 0)
    assert error.value.fix == "emma envs install so101"
    with pytest.raises(EmmaError, match="unknown option"):
        run_with(True, 0, {"franka": "mine"})


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_our_kinematics_are_those_of_the_packages_model(name):
    environment = ENVIRONMENTS[name]
    if not (environment.folder / "bin" / "python").is_file():
        pytest.skip(f"{environment.package} is not here: emma envs install {name}")
    metres, radians = kinematics_error(load_robot(name), 20, seed=0)
    assert metres < 1e-6
    assert radians < 1e-6
