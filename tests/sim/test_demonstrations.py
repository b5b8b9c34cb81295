"""Demonstrations as arrays and as a dataset."""

import argparse
import dataclasses
import multiprocessing

import numpy as np
import pytest

from emma.commands import collect as verb
from emma.datasets.writer import DatasetWriter
from emma.errors import EmmaError
from emma.sim.collect import CollectConfig, collect
from emma.sim.demonstrations import demonstrate, demonstrations
from emma.sim.expert import Expert


def test_frames_are_the_clean_commands_at_their_moments(arm):
    (episode,) = demonstrations(1, seed=3, cameras=("top",))
    arm.reset(3, episode.target)
    plan = Expert(arm, noise=0.02)
    np.testing.assert_array_equal(episode.action, plan.commands[::5][: len(episode.action)])
    np.testing.assert_array_equal(episode.executed, plan.executed[::5][: len(episode.action)])
    assert [o.stamp_ns for o in episode.observations[:3]] == [0, 100_000_000, 200_000_000]
    assert episode.images["top"].shape == (len(episode.action), 96, 96, 3)
    assert episode.depth["top"].dtype == np.uint16
    assert episode.state.shape == episode.action.shape
    assert episode.state.dtype == episode.action.dtype == np.float32
    for i, command in enumerate(plan.executed[:16]):
        if i % 5 == 0:
            np.testing.assert_array_equal(arm.state(), episode.state[i // 5])
        arm.step(command)


def test_targets_alternate_and_random_looks_change():
    first, second = demonstrations(2, domain="random", cameras=())
    assert {first.target, second.target} == {"bin", "plate"}
    assert first.domain.role == second.domain.role == "random"
    assert first.domain != second.domain


def test_a_failed_try_is_dropped_and_counted(monkeypatch):
    import emma.sim.demonstrations as module

    def first_fails(sim, seed, *args, **kwargs):
        return None if seed == 40 else demonstrate(sim, seed, *args, **kwargs)

    monkeypatch.setattr(module, "demonstrate", first_fails)
    (episode,) = demonstrations(1, seed=40, cameras=())
    assert (episode.seed, episode.failed) == (41, 1)


def test_an_expert_that_drops_the_cube_yields_no_episode(arm, monkeypatch):
    import emma.sim.tasks.place as module

    monkeypatch.setattr(module, "GRIPPER_CLOSED", 0.03)
    assert demonstrate(arm, 0, "bin", noise=0.0, fps=10) is None


def test_going_on_tries_no_seed_again_that_failed(tmp_path, spec, monkeypatch):
    import emma.sim.collect as module

    tried = []

    def two_of_three_fail(work, seeds, workers, *, ahead):
        for seed in seeds:
            tried.append(seed)
            yield None if seed % 3 else work(seed)

    monkeypatch.setattr(module, "in_order", two_of_three_fail)
    for episodes in (2, 3):
        report = collect(tmp_path, spec, CollectConfig(episodes=episodes, workers=1, cameras=(), depth=False))
    assert (report.episodes, report.kept, report.failed) == (1, 2, 2)
    assert tried == list(range(7))


def test_collect_writes_a_dataset_and_goes_on_where_it_stopped(tmp_path, spec, capsys):
    heard = []
    small = CollectConfig(episodes=2, workers=2, cameras=("top",), depth=False)
    first = collect(tmp_path / "data", spec, small, heard.append)
    assert (first.episodes, first.kept, first.failed) == (2, 0, 0)
    assert [r.episodes for r in heard] == [1, 2]
    more = collect(tmp_path / "data", spec, CollectConfig(episodes=3, workers=1, cameras=("top",), depth=False))
    assert (more.episodes, more.kept) == (1, 2)
    parser = argparse.ArgumentParser()
    verb.configure(parser)
    options = ["--out", str(tmp_path / "data"), "--episodes", "3", "--cameras", "top", "--no-depth"]
    assert verb.run(parser.parse_args(options)) == 0
    assert "0 episodes" in capsys.readouterr().out
    with DatasetWriter(tmp_path / "data", spec, cameras=("top",), depth=False) as writer:
        assert [(p["seed"], p["target"], p["domain"]) for p in writer.provenance] == [
            (0, "bin", "source"),
            (1, "plate", "source"),
            (2, "bin", "source"),
        ]
        assert writer.num_frames == first.frames + more.frames


def test_another_task_is_another_dataset(tmp_path, spec, capsys):
    parser = argparse.ArgumentParser()
    verb.configure(parser)
    options = ["--out", str(tmp_path / "data"), "--episodes", "2", "--cameras", "top", "--no-depth", "--workers", "1"]
    assert verb.run(parser.parse_args([*options, "--task", "push"])) == 0
    assert "2 episodes" in capsys.readouterr().out
    with DatasetWriter(tmp_path / "data", spec, cameras=("top",), depth=False) as writer:
        assert [(p["seed"], p["target"], p["task"]) for p in writer.provenance] == [
            (0, "bin", "push"),
            (1, "plate", "push"),
        ]
    # The same seeds of the first task are not taken for these.
    assert verb.run(parser.parse_args(options)) == 0
    assert "2 episodes" in capsys.readouterr().out


def test_pushes_are_the_same_every_time():
    first, second = (next(iter(demonstrations(1, seed=6, task="push", cameras=("top",)))) for _ in range(2))
    for name in ("action", "executed", "state"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    np.testing.assert_array_equal(first.images["top"], second.images["top"])
    assert first.instruction == second.instruction
    assert "plate" not in first.instruction
    placed = next(iter(demonstrations(1, seed=6, cameras=())))
    assert placed.instruction != first.instruction


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"domains": ("unseen_2",)}, "kept for evaluation"),
        ({"domains": ("nowhere",)}, "unknown visual domain"),
        ({"seed": 9_999, "episodes": 2}, "seeds are kept for evaluation"),
        ({"noise": 1.0}, "noise"),
        ({"episodes": 0}, "nothing to collect"),
        ({"task": "stack"}, "unknown task"),
        ({"task": "push", "motion": "wander"}, "has no task"),
    ],
)
def test_what_may_not_be_collected(change, problem):
    with pytest.raises(EmmaError, match=problem):
        CollectConfig(**{"episodes": 1, **change})


def test_an_upper_bound_may_be_asked_for():
    config = CollectConfig(episodes=8, domains=("unseen_1", "unseen_2"), evaluation_domains=True)
    assert [config.domain(seed) for seed in range(5)] == ["unseen_1", "unseen_1", "unseen_2", "unseen_2", "unseen_1"]


def test_a_robot_that_is_not_the_arm_is_refused_by_name(tmp_path, spec):
    other = dataclasses.replace(spec, name="other", joints=spec.joints[:-1], gripper=(), home=())
    with pytest.raises(EmmaError, match="not this robot"):
        collect(tmp_path / "data", other, CollectConfig(episodes=1, workers=1))


def test_a_worker_that_is_killed_leaves_the_episodes_before(tmp_path, spec):
    def kill_the_workers(report):
        if report.episodes == 2:
            for child in multiprocessing.active_children():
                child.kill()

    config = CollectConfig(episodes=12, workers=1, cameras=("top",), depth=False)
    with pytest.raises(EmmaError, match="worker process died"):
        collect(tmp_path / "data", spec, config, kill_the_workers)
    with DatasetWriter(tmp_path / "data", spec, cameras=("top",), depth=False) as writer:
        assert [p["seed"] for p in writer.provenance][:2] == [0, 1]
        kept = writer.num_episodes
    rest = collect(tmp_path / "data", spec, dataclasses.replace(config, episodes=kept + 1))
    assert (rest.kept, rest.episodes) == (kept, 1)
