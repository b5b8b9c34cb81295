"""Demonstrations as arrays and as a dataset."""

import numpy as np
import pytest

from emma.episodes.dataset import DatasetWriter
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
    import emma.sim.expert as module

    monkeypatch.setattr(module, "GRIPPER_CLOSED", 0.03)
    assert demonstrate(arm, 0, "bin", noise=0.0, fps=10) is None


def test_collect_writes_a_dataset_and_goes_on_where_it_stopped(tmp_path, spec):
    heard = []
    small = CollectConfig(episodes=2, workers=2, cameras=("top",), depth=False)
    first = collect(tmp_path / "data", spec, small, heard.append)
    assert (first.episodes, first.kept, first.failed) == (2, 0, 0)
    assert [r.episodes for r in heard] == [1, 2]
    more = collect(tmp_path / "data", spec, CollectConfig(episodes=3, workers=1, cameras=("top",), depth=False))
    assert (more.episodes, more.kept) == (1, 2)
    again = collect(tmp_path / "data", spec, CollectConfig(episodes=3, cameras=("top",), depth=False))
    assert (again.episodes, again.kept) == (0, 3)
    with DatasetWriter(tmp_path / "data", spec, cameras=("top",), depth=False) as writer:
        assert [(p["seed"], p["target"], p["domain"]) for p in writer.provenance] == [
            (0, "bin", "source"),
            (1, "plate", "source"),
            (2, "bin", "source"),
        ]
        assert writer.num_frames == first.frames + more.frames


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"domains": ("unseen_2",)}, "kept for evaluation"),
        ({"domains": ("nowhere",)}, "unknown visual domain"),
        ({"seed": 9_999, "episodes": 2}, "seeds are kept for evaluation"),
        ({"noise": 1.0}, "noise"),
        ({"episodes": 0}, "nothing to collect"),
    ],
)
def test_what_may_not_be_collected(change, problem):
    with pytest.raises(EmmaError, match=problem):
        CollectConfig(**{"episodes": 1, **change})


def test_an_upper_bound_may_be_asked_for():
    config = CollectConfig(episodes=8, domains=("unseen_1", "unseen_2"), evaluation_domains=True)
    assert [config.domain(seed) for seed in range(5)] == ["unseen_1", "unseen_1", "unseen_2", "unseen_2", "unseen_1"]
