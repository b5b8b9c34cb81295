"""The driver's process answers, or what went wrong is told."""

import dataclasses
import sys

import numpy as np
import pytest

from emma.envs.process import DriverProcess
from emma.errors import EmmaError


def start(environment, python=sys.executable):
    return DriverProcess(environment, rate_hz=50.0, sizes={"top": (8, 6)}, python=python)


def test_a_driver_resets_steps_draws_and_ends(toy):
    driver = start(toy)
    said, state = driver.reset(7, ("top",))
    assert said["object"] == [7.0, 0.0, 0.0]
    np.testing.assert_array_equal(state, [0.0, 0.0])
    _, state = driver.step(np.array([0.3, -0.1]), ("top",))
    np.testing.assert_array_equal(state, [0.3, -0.1])
    image = driver.draw("top")
    assert image.shape == (6, 8, 3)
    assert (image == 30).all()
    with pytest.raises(EmmaError, match="failed") as error:
        driver.step(np.array([98.0, 0.0]), ())
    assert "a wall" in str(error.value)
    assert driver.tools(np.zeros((3, 2)))["hand"].shape == (3, 4, 4)
    with pytest.raises(EmmaError) as error:
        driver.step(np.array([99.0, 0.0]), ())
    assert "exit code 3" in str(error.value)
    driver.close()


def test_a_missing_package_and_another_version_are_told(toy):
    with pytest.raises(EmmaError, match="missing") as error:
        start(dataclasses.replace(toy, package="no-such-package"))
    assert error.value.fix == "emma envs install toy"
    with pytest.raises(EmmaError, match="of another version") as error:
        start(dataclasses.replace(toy, version="0.0.1"))
    assert "0.0.1" in str(error.value)
    assert np.__version__ in str(error.value)


def test_an_interpreter_that_cannot_be_run_is_told(toy, tmp_path):
    broken = tmp_path / "python"
    broken.write_text("not a program")
    with pytest.raises(EmmaError, match="cannot be run"):
        start(toy, str(broken))
