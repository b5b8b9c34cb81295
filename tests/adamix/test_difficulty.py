"""What the metrics say of motions, made up and from the simulator's expert."""

import numpy as np
import pytest
import torch

from emma.adamix.config import AdaMixConfig
from emma.adamix.difficulty import (
    COMPONENTS,
    Difficulty,
    JointScale,
    chunk_error,
    chunk_motion,
    demonstration_motion,
    motion_of,
)
from emma.adamix.weights import performance
from emma.robots.spec import load_robot
from emma.sim.demonstrations import demonstrations

FPS = 10.0


def scale(joints=2, lower=-1.0, upper=1.0, rough=None):
    return JointScale(
        fps=FPS,
        spread=np.ones(joints),
        lower=np.full(joints, lower),
        upper=np.full(joints, upper),
        rough=np.ones(joints, bool) if rough is None else rough,
    )


def test_error_is_the_mse_of_what_is_in_the_episode():
    rng = np.random.default_rng(0)
    predicted, target = rng.normal(size=(3, 8, 2)), rng.normal(size=(3, 8, 2))
    padded = np.zeros((3, 8), bool)
    padded[1, 5:] = True
    got = chunk_error(predicted, target, padded)
    a, b = torch.tensor(predicted), torch.tensor(target)
    want = [torch.nn.functional.mse_loss(a[i, :n], b[i, :n]) for i, n in enumerate((8, 5, 8))]
    np.testing.assert_allclose(got, torch.stack(want).numpy())
    np.testing.assert_allclose(
        chunk_error(predicted[:, :4], target, padded), chunk_error(predicted, target[:, :4], padded)
    )


def test_acceleration_and_jerk_are_those_of_a_polynomial():
    t = np.arange(20) / FPS
    motion = motion_of(np.stack([0.5 * t**2, -0.5 * t**2], 1), scale())
    np.testing.assert_allclose(motion["acceleration"], 1.0, atol=1e-9)
    np.testing.assert_allclose(motion["jerk"], 0.0, atol=1e-6)
    cubic = motion_of(np.stack([t**3 / 6, t**3 / 6], 1), scale())
    np.testing.assert_allclose(cubic["jerk"], 1.0, atol=1e-6)


def test_a_gripper_that_snaps_is_no_rough_motion():
    path = np.zeros((20, 2))
    path[10:, 1] = 1.0
    assert motion_of(path, scale())["acceleration"].max() > 0
    assert motion_of(path, scale(rough=np.array([True, False])))["acceleration"].max() == 0


def test_limits_count_frames_and_depth():
    path = np.zeros((4, 2))
    path[1, 0], path[2, 1] = 1.5, -1.25
    motion = motion_of(path, scale())
    np.testing.assert_array_equal(motion["beyond"], [0, 1, 1, 0])
    np.testing.assert_allclose(motion["depth"], [0, 0.25, 0.125, 0])
    assert motion_of(np.full((3, 2), np.float32(1.0)), scale())["beyond"].sum() == 0
    unknown = motion_of(path, scale(lower=-np.inf, upper=np.inf))
    assert unknown["beyond"].sum() == unknown["depth"].sum() == 0


def test_what_is_after_the_end_of_the_episode_does_not_count():
    rng = np.random.default_rng(1)
    chunks = np.zeros((2, 8, 2))
    chunks[:, 5:] = rng.normal(size=(2, 3, 2)) * 5
    padded = np.zeros((2, 8), bool)
    padded[0, 5:] = True
    motion = chunk_motion(chunks, padded, scale())
    for name, values in motion.items():
        assert values[0] == 0, name
        assert values[1] > 0, name


@pytest.mark.parametrize("length", [1, 2, 3])
def test_paths_too_short_for_a_difference_are_smooth(length):
    motion = motion_of(np.ones((length, 2)), scale())
    assert all(len(values) == length and values.sum() == 0 for values in motion.values())


def test_episodes_are_means_of_their_judged_frames():
    values = {name: np.array([3.0, 4.0, 1.0]) for name in COMPONENTS}
    difficulty = Difficulty(frames=np.array([0, 1, 5]), values=values)
    by_episode = difficulty.by_episode(np.array([0, 0, 0, 1, 1, 2]), 3)
    np.testing.assert_allclose(by_episode["error"], [3.5, np.nan, 1.0])
    np.testing.assert_allclose(by_episode["jerk"][0], np.sqrt(12.5))
    again = Difficulty.from_table(difficulty.frames, difficulty.table())
    np.testing.assert_array_equal(again.values["depth"], values["depth"])


@pytest.fixture(scope="module")
def episodes():
    """18 expert episodes; then one with a shaking arm, one with jerky commands, one beyond a joint's limit."""
    good = [(e.action, e.state) for e in demonstrations(18, seed=0, cameras=(), depth=False)]
    (shaking,) = demonstrations(1, seed=100, noise=0.08, cameras=(), depth=False)
    (jerky, beyond) = ((e.action.copy(), e.state.copy()) for e in demonstrations(2, seed=200, cameras=(), depth=False))
    jerky[0][:, :6] += np.random.default_rng(0).normal(0, 0.03, jerky[0][:, :6].shape)
    limit = load_robot("desk_arm").joints[3].upper
    beyond[0][20:40, 3] = limit + 0.2 * np.sin(np.linspace(0, np.pi, 20))
    return good, [(shaking.action, shaking.state), jerky, beyond]


def test_the_ranking_finds_what_was_spoilt(episodes):
    good, bad = episodes
    spec = load_robot("desk_arm")
    actions, states = (np.concatenate([e[i] for e in good + bad]).astype(np.float64) for i in (0, 1))
    starts = np.concatenate([[0], np.cumsum([len(a) for a, _ in good + bad])])
    measures = JointScale(
        fps=spec.fps,
        spread=actions.std(0),
        lower=np.array([j.lower for j in spec.joints]),
        upper=np.array([j.upper for j in spec.joints]),
        rough=np.array([j.name not in spec.gripper for j in spec.joints]),
    )
    every = np.arange(starts[-1])
    motion = demonstration_motion([actions, states], starts, measures)
    difficulty = Difficulty.of(every, np.zeros(len(every)), motion)
    by_episode = difficulty.by_episode(np.repeat(np.arange(21), np.diff(starts)), 21)
    p = performance(by_episode, AdaMixConfig(error=0))
    assert set(np.argsort(p)[:3]) == {18, 19, 20}
    assert np.argmax(by_episode["depth"]) == 20
    assert by_episode["jerk"][19] > np.max(by_episode["jerk"][:18])
    assert by_episode["acceleration"][18] > np.max(by_episode["acceleration"][:18])
