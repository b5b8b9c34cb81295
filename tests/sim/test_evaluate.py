"""Closed-loop evaluation, tried with policies whose result is known."""

import json
from dataclasses import replace

import numpy as np
import pytest

from emma.cli import main
from emma.resources import data_dir
from emma.robots.spec import load_robot
from emma.sim.arm import DeskArm
from emma.sim.evaluate import EvalConfig, evaluate
from emma.sim.expert import Expert
from emma.sim.tasks import load_task

FPS, CHUNK = 10, 16


class Oracle:
    """Answers with the expert's own plan for `target`, or for the instructed one."""

    name, reason, rtc, past_s, note, isolated = "oracle", "a test", "", (), "", False

    def __init__(self, sim: DeskArm, target: str | None = None):
        self.sim, self.target = sim, target

    def reset(self, seed: int) -> None:
        asked = self.sim.task.target
        if self.target is not None:
            self.sim.reset(seed, self.target, held_out_words=True)
        self.plan = Expert(self.sim).commands
        self.sim.reset(seed, asked, held_out_words=True)

    def infer(self, observation, instruction, previous=None):
        step = round(self.sim.spec.control_rate_hz / FPS)
        return self.plan[np.minimum(self.sim.tick + step * np.arange(CHUNK), len(self.plan) - 1)]

    def close(self):
        pass


class Frozen(Oracle):
    """Never moves."""

    def infer(self, observation, instruction, previous=None):
        return np.repeat(observation.state[None], CHUNK, axis=0)


@pytest.fixture(scope="module")
def sim():
    with DeskArm(load_robot("desk_arm"), cameras=()) as sim:
        yield sim


def test_the_expert_succeeds_through_the_executor_that_deploys(sim):
    result = evaluate(sim, Oracle(sim), FPS, EvalConfig(episodes=4))
    assert result.success.value == 1.0
    assert result.instruction_following.value == 1.0
    assert {e.target for e in result.episodes} == {"bin", "plate"}
    fastest = max(j.velocity for j in sim.spec.joints) / sim.spec.control_rate_hz
    assert 0 < max(e.largest_step for e in result.episodes) <= fastest


def test_a_policy_that_ignores_the_instruction_is_caught(sim):
    result = evaluate(sim, Oracle(sim, target="bin"), FPS, EvalConfig(episodes=4))
    assert [e.placed_on for e in result.episodes] == ["bin"] * 4
    assert result.success.value == 0.5
    assert result.instruction_following.value == 0.5


def test_another_task_is_evaluated_by_its_own_end(sim):
    config = EvalConfig(episodes=4, task="push")
    result = evaluate(sim, Oracle(sim), FPS, config)
    assert result.success.value == 1.0
    assert result.to_json()["config"]["task"] == "push"
    assert all("next to" in e.instruction or "nudge" in e.instruction for e in result.episodes)
    wrong = evaluate(sim, Oracle(sim, target="plate"), FPS, config)
    assert [e.placed_on for e in wrong.episodes] == ["plate"] * 4
    assert wrong.success.value == wrong.instruction_following.value == 0.5
    # Not carried over to whoever asks for the first one.
    assert "push" not in {evaluate(sim, Oracle(sim), FPS, EvalConfig(episodes=1)).config.task, sim.task.kind}


def test_a_policy_that_does_nothing_fails_and_ends(sim):
    result = evaluate(sim, Frozen(sim), FPS, EvalConfig(episodes=2, timeout_s=2.0))
    assert result.success.successes == 0
    assert all(e.placed_on is None and e.seconds == 2.0 for e in result.episodes)
    assert np.isnan(result.instruction_following.value)


def test_the_same_seed_gives_the_same_episode_and_late_chunks_still_work(sim):
    config = EvalConfig(episodes=2, latency_s=0.3)
    first, second = (evaluate(sim, Oracle(sim), FPS, config) for _ in range(2))
    assert first.episodes == second.episodes
    assert first.success.value == 1.0


def test_random_looks_are_those_of_the_seeds_whatever_runs_before(sim, monkeypatch):
    shown = []
    change = sim.set_domain
    monkeypatch.setattr(sim, "set_domain", lambda domain: (change(domain), shown.append(sim.domain)))
    config = EvalConfig(episodes=2, timeout_s=0.2, domain="random")
    evaluate(sim, Frozen(sim), FPS, config)
    first, second = shown[-2:]
    assert first.role == second.role == "random"
    assert first != second
    evaluate(sim, Frozen(sim), FPS, replace(config, episodes=1, seed=config.seed + 1))
    assert shown[-1] == second
    sim.set_domain("source")


def test_the_verb_takes_random_looks_but_not_through_ros(tmp_path, capsys):
    bundle, file = str(data_dir("models") / "desk_arm_source"), tmp_path / "result.json"
    assert main(["eval", bundle, "--domain", "random", "--episodes", "1", "--json", str(file)]) == 0
    assert json.loads(file.read_text())["results"]["random"]["config"]["domain"] == "random"
    assert main(["eval", bundle, "--domain", "random", "--ros"]) == 2
    assert "leave --ros out" in capsys.readouterr().err


def test_the_verb_asks_for_another_task(tmp_path, capsys):
    bundle = str(data_dir("models") / "desk_arm_source")
    file = tmp_path / "result.json"
    assert main(["eval", bundle, "--task", "push", "--episodes", "1", "--json", str(file)]) == 0
    (row,) = json.loads(file.read_text())["results"].values()
    assert row["config"]["task"] == "push"
    assert load_task("push").target_of(row["episodes"][0]["instruction"]) == "bin"
    assert main(["eval", bundle, "--task", "stack"]) == 2
    assert "one of place, push" in capsys.readouterr().err


@pytest.mark.parametrize("bad", [{"episodes": 0}, {"latency_s": -1.0}, {"timeout_s": 0.0}])
def test_configuration_is_validated(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        EvalConfig(**bad)
