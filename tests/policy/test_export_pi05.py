"""pi0.5 and pi0 through the whole parity gate, from a bundle on disk, with random weights: LeRobot's own code, at a
small size, because those that it names do not fit a test."""

import numpy as np
import pytest
import torch

from emma.bench.random_vla import Gemma, Size, random_cases, sizes, write_random
from emma.policy.export import pi05
from emma.policy.export.bundle_export import export_bundle, policy_graphs
from emma.policy.loading import BACKBONE, load_policy
from emma.policy.runtime import open_runtime
from emma.policy.runtime.rtc import Previous

TINY = Size(
    image=56,
    tokens=72,
    chunk=4,
    steps=3,
    backbone=Gemma(32, 2, 64, 2, 1, 16),
    expert=Gemma(32, 2, 64, 2, 1, 16),
    vision=(32, 2, 2, 64),
)


@pytest.fixture(scope="module", params=["pi0", "pi05"])
def exported(request, tmp_path_factory):
    """kind, bundle with its graphs, what the export says."""
    folder = tmp_path_factory.mktemp(request.param)
    with sizes(request.param, TINY, folder / BACKBONE):
        bundle = write_random(request.param, TINY, folder, cameras=2)
        _stir(folder)
        yield request.param, bundle, export_bundle(bundle, random_cases(TINY, 2, 3), reference="noise")


def _stir(folder):
    """Norms of pi0.5 start without any modulation: give them some, or the flow's time would go untested."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    torch.manual_seed(1)
    for name, tensor in weights.items():
        if "layernorm.dense" in name or "norm.dense" in name:
            tensor.normal_(std=0.2)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_the_graphs_pass_the_gate(exported):
    kind, _, info = exported
    assert info.parity.passed
    assert info.parity.max_abs_error <= 1e-4
    assert set(info.graphs) == {"prefix", "step"}
    assert info.state_in_words == (kind == "pi05")


def test_the_state_is_felt(exported):
    """pi0.5 reads it as words, which are made anew for every observation."""
    _, bundle, _ = exported
    runtime, reference = open_runtime(bundle, kind="onnxruntime"), open_runtime(bundle, kind="torch")
    first, second = random_cases(TINY, 2, 2)
    other = type(first.observation)(stamp_ns=0, state=second.observation.state, images=first.observation.images)
    chunks = []
    for observation in (first.observation, other):
        for each in (runtime, reference):
            each.reset(0)
        chunks.append(runtime.infer(observation, first.instruction))
        np.testing.assert_allclose(chunks[-1], reference.infer(observation, first.instruction), atol=1e-4, rtol=0)
    assert np.abs(chunks[1] - chunks[0]).max() > 1e-3
    runtime.close()


def test_guided_chunks_are_those_of_lerobots_own_real_time_chunking(exported):
    _, bundle, _ = exported
    runtime, reference = open_runtime(bundle, kind="onnxruntime"), open_runtime(bundle, kind="torch")
    assert runtime.rtc == reference.rtc == "guided"
    case = random_cases(TINY, 2, 1)[0]
    left = np.linspace(-0.5, 0.5, 3 * 7, dtype=np.float32).reshape(3, 7)
    for each in (runtime, reference):
        each.reset(0)
    chunks = [each.infer(*case, Previous(actions=left, delay=2, horizon=3)) for each in (runtime, reference)]
    np.testing.assert_allclose(*chunks, atol=1e-4, rtol=0)
    runtime.close()


def test_held_actions_have_a_time_of_their_own(exported):
    """The step's norms see time 0 for a held action and the flow's time for the others."""
    kind, bundle, _ = exported
    if kind != "pi05":
        return
    loaded = load_policy(bundle)
    made = policy_graphs(loaded)
    inputs = dict(made.graphs["prefix"].inputs)
    step = made.graphs["step"]
    with torch.no_grad(), pi05.patched():
        context = dict(zip(made.graphs["prefix"].outputs, made.graphs["prefix"].module(*inputs.values()), strict=True))
        noisy = torch.randn(1, TINY.chunk, made.width)
        mixed = torch.tensor([[0.0, 0.6, 0.6, 0.6]])

        def velocity(time):
            return step.module(*{**dict(step.inputs), "noisy": noisy, "time": time, **context}.values())

        found, flowing = velocity(mixed), velocity(torch.full((1, 4), 0.6))
    assert not torch.allclose(found[:, 0], flowing[:, 0], atol=1e-4)
    assert not torch.allclose(found[:, 1], flowing[:, 1], atol=1e-7)  # it looks at the held one
