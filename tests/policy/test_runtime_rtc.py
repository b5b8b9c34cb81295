"""Real-time chunking with exported graphs: LeRobot's own guidance, without a backward pass."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lerobot.configs import RTCAttentionSchedule
from lerobot.policies.rtc.configuration_rtc import RTCConfig
from lerobot.policies.rtc.modeling_rtc import RTCProcessor

from emma.policy.loading import load_policy
from emma.policy.runtime import open_runtime
from emma.policy.runtime.graph_runtime import GraphRuntime
from emma.policy.runtime.onnx_graphs import open_graphs
from emma.policy.runtime.rtc import Guidance, Previous, guidance_weight, prefix_weights

LINEAR = RTCConfig(prefix_attention_schedule=RTCAttentionSchedule.LINEAR, execution_horizon=10)


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 20))
def test_weights_are_lerobots(delay, horizon, chunk):
    horizon = min(horizon, chunk)
    theirs = RTCProcessor(LINEAR).get_prefix_weights(delay, horizon, chunk).numpy()
    np.testing.assert_allclose(prefix_weights(delay, horizon, chunk), theirs, atol=1e-6)


@given(st.integers(1, 15), st.integers(0, 10), st.sampled_from([1.0, 0.9, 0.5, 0.1]), st.integers(0, 2**16))
def test_guided_velocity_is_lerobots(known, delay, time, seed):
    noise = np.random.default_rng(seed)
    noisy, velocity = noise.standard_normal((2, 1, 16, 8)).astype(np.float32)
    left = noise.standard_normal((known, 7)).astype(np.float32)
    theirs = RTCProcessor(LINEAR).denoise_step(
        x_t=torch.from_numpy(noisy),
        prev_chunk_left_over=torch.from_numpy(left),
        inference_delay=delay,
        time=time,
        original_denoise_step_partial=lambda x: torch.from_numpy(velocity),
        execution_horizon=10,
    )
    guidance = Guidance(16, 8)
    guidance.aim(left, delay, 10)
    ours = velocity.copy()
    guidance.correct(ours, noisy, time)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5, rtol=1e-5)


def test_weight_is_bounded_at_both_ends():
    assert guidance_weight(1.0) == guidance_weight(0.0) == 10.0
    assert guidance_weight(0.5) == pytest.approx(2.0)
    assert all(0 < guidance_weight(t) <= 10.0 for t in np.linspace(0, 1, 101))


@pytest.mark.slow
def test_chunk_is_that_of_lerobots_own_rtc(exported, cases):
    bundle, info = exported("smolvla_small")
    (observation, instruction), previous = cases[0], cases[1].observation.state + np.linspace(0, 0.1, 12)[:, None]
    previous = previous.astype(np.float32)
    graphs = open_runtime(bundle, kind="onnxruntime")
    graphs.reset(0)
    found = graphs.infer(observation, instruction, Previous(actions=previous, delay=3))

    loaded = load_policy(bundle)
    loaded.policy.config.rtc_config = LINEAR
    loaded.policy.init_rtc_processor()
    batch = {f"observation.images.{c}": torch.tensor(i).permute(2, 0, 1) / 255 for c, i in observation.images.items()}
    batch |= {"observation.state": torch.tensor(observation.state), "task": instruction}
    seeds = torch.Generator().manual_seed(0)
    noise = torch.randn(
        1,
        info.chunk,
        info.width,
        generator=torch.Generator().manual_seed(int(torch.randint(0, 2**31, (1,), generator=seeds))),
    )
    normalised = (previous - np.array(info.action_shift, np.float32)) / np.array(info.action_scale, np.float32)
    expected = loaded.policy.predict_action_chunk(
        loaded.pre(batch),
        noise=noise,
        inference_delay=3,
        prev_chunk_left_over=torch.from_numpy(normalised.astype(np.float32))[None],
        execution_horizon=10,
    )
    np.testing.assert_allclose(found, loaded.post(expected).squeeze(0).numpy(), atol=1e-4, rtol=0)


def test_guidance_draws_the_chunk_to_the_previous_one_and_is_forgotten(exported, cases):
    runtime = open_runtime(exported("spatial_flow")[0], kind="onnxruntime")
    observation, instruction = cases[0]
    free = runtime.infer(observation, instruction)
    target = free[:8] + 0.05
    guided = runtime.infer(observation, instruction, Previous(actions=target, delay=4, horizon=8))
    before, after = np.abs(free[:4] - target[:4]).max(), np.abs(guided[:4] - target[:4]).max()
    assert after < 0.5 * before
    np.testing.assert_array_equal(runtime.infer(observation, instruction), free)


def test_trained_delay_holds_the_first_actions_as_the_policy_does(exported, cases):
    bundle, info = exported("spatial_flow")
    info = dataclasses.replace(info, flow=dataclasses.replace(info.flow, trained_delay=5))
    runtime = GraphRuntime(bundle, info, open_graphs(bundle.path, info, device="cpu", threads=1), name="trained")
    observation, instruction = cases[0]
    previous = observation.state + np.linspace(0.0, 0.1, 8, dtype=np.float32)[:, None]
    found = runtime.infer(observation, instruction, Previous(actions=previous, delay=3))
    np.testing.assert_allclose(found[:3], previous[:3], atol=1e-5)

    loaded = load_policy(bundle)
    loaded.policy.config.rtc_max_delay = 5
    batch = {f"observation.images.{c}": torch.tensor(i).permute(2, 0, 1) / 255 for c, i in observation.images.items()}
    batch = loaded.pre({**batch, "observation.state": torch.tensor(observation.state), "task": instruction})
    left = previous - np.array(info.relative) * observation.state - np.array(info.action_shift)
    left = torch.from_numpy((left / np.array(info.action_scale)).astype(np.float32))[None]
    expected = loaded.policy.predict_action_chunk(batch, inference_delay=3, prev_chunk_left_over=left)
    np.testing.assert_allclose(found, loaded.post(expected).squeeze(0).numpy(), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("actions", "delay", "horizon"), [((0, 7), 1, 5), ((7,), 1, 5), ((4, 7), -1, 5), ((4, 7), 1, -5)]
)
def test_previous_is_validated(actions, delay, horizon):
    with pytest.raises(ValueError, match=r"previous actions|delay and horizon"):
        Previous(actions=np.zeros(actions, np.float32), delay=delay, horizon=horizon)
