"""Runtimes: one behaviour behind one interface, chosen for a reason that can be read."""

import dataclasses
import logging

import numpy as np
import pytest

from emma.errors import EmmaError
from emma.observation import Observation
from emma.policy.runtime import TorchRuntime, open_runtime
from emma.policy.runtime.onnx_graphs import available, providers_for


def test_auto_takes_the_graphs_and_says_why(exported, caplog):
    bundle, _ = exported("spatial_flow")
    with caplog.at_level(logging.INFO, logger="emma"):
        runtime = open_runtime(bundle)
    assert runtime.name == "onnxruntime (cpu)"
    assert "passed parity" in runtime.reason
    assert runtime.reason in caplog.text


def test_auto_without_graphs_takes_torch_and_says_why(own_copy):
    (own_copy.path / "export").rename(own_copy.path / "elsewhere")
    runtime = open_runtime(own_copy)
    assert isinstance(runtime, TorchRuntime)
    assert "has no exported graphs" in runtime.reason


def test_unknown_kind(exported):
    with pytest.raises(EmmaError, match="unknown runtime 'tpu'"):
        open_runtime(exported("spatial_flow")[0], kind="tpu")


def test_the_most_typical_chunk_is_the_same_every_time(exported, cases):
    runtime = open_runtime(exported("spatial_flow")[0], kind="onnxruntime")
    first = runtime.infer(*cases[0])
    other = runtime.infer(*cases[1])
    np.testing.assert_array_equal(runtime.infer(*cases[0]), first)
    assert np.abs(other - first).max() > 0
    # A result is the caller's: the next call must not change it.
    kept = first.copy()
    runtime.infer(*cases[2])
    np.testing.assert_array_equal(first, kept)


def test_noise_is_drawn_anew_and_repeats_after_reset(exported, cases):
    runtime = open_runtime(exported("smolvla_small")[0], kind="onnxruntime")
    runtime.reset(3)
    first, second = runtime.infer(*cases[0]), runtime.infer(*cases[0])
    assert np.abs(first - second).max() > 1e-4
    runtime.reset(3)
    np.testing.assert_array_equal(runtime.infer(*cases[0]), first)


@pytest.mark.parametrize("policy", ["spatial_flow", "smolvla_small"])
def test_the_instruction_reaches_the_graph(exported, cases, policy):
    runtime = open_runtime(exported(policy)[0], kind="onnxruntime")
    observation = cases[0].observation
    words = {}
    for instruction in ("put the cube in the bin", "put the cube on the plate", "put the cube in the bin"):
        runtime.reset(0)
        chunk = runtime.infer(observation, instruction)
        words.setdefault(instruction, chunk)
        np.testing.assert_array_equal(words[instruction], chunk)


def test_an_image_of_another_size_is_told(exported, cases):
    runtime = open_runtime(exported("act_small")[0], kind="onnxruntime")
    observation = cases[0].observation
    images = {**observation.images, "wrist": np.zeros((48, 96, 3), np.uint8)}
    with pytest.raises(EmmaError, match="camera wrist has another size") as error:
        runtime.infer(dataclasses.replace(observation, images=images), "")
    assert (error.value.found, error.value.expected) == ("96x48", "96x96")


def test_nothing_is_allocated_for_sensors_and_flow(exported, cases):
    """The arrays that the graphs are bound to stay where they are."""
    runtime = open_runtime(exported("spatial_flow")[0], kind="onnxruntime")
    buffers = runtime._graphs.buffers
    places = {name: array.ctypes.data for name, array in buffers.items()}
    result = runtime.infer(*cases[0])
    assert {name: array.ctypes.data for name, array in buffers.items()} == places
    np.testing.assert_array_equal(buffers["top"][0], cases[0].observation.images["top"])
    assert not np.shares_memory(result, buffers["noisy"])


def test_read_only_observations_are_taken(exported, cases):
    """A decoded message may be a view of bytes."""
    observation = cases[0].observation
    images = {c: np.frombuffer(i.tobytes(), np.uint8).reshape(i.shape) for c, i in observation.images.items()}
    frozen = Observation(stamp_ns=0, state=np.frombuffer(observation.state.tobytes(), np.float32), images=images)
    runtime = open_runtime(exported("spatial_flow")[0], kind="onnxruntime")
    np.testing.assert_array_equal(runtime.infer(frozen, cases[0].instruction), runtime.infer(*cases[0]))


def test_a_provider_that_is_not_there_is_told():
    assert available()[-1] == "cpu"
    if "cuda" in available():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(EmmaError, match="cannot use 'cuda' here") as error:
        providers_for("cuda")
    assert "CPUExecutionProvider" in error.value.found


def test_auto_on_a_gpu_that_is_not_there_names_every_reason(exported):
    if "cuda" in available():
        pytest.skip("this onnxruntime has CUDA")
    from emma.policy.runtime.choose import OPENERS

    bundle, _ = exported("spatial_flow")
    for kind, problem in (("tensorrt", "TensorRT|GPU"), ("onnxruntime", "cannot use 'cuda'")):
        with pytest.raises(EmmaError, match=problem):
            OPENERS[kind](bundle, "cuda", 1, "test")


@pytest.mark.slow
def test_compiled_graphs_agree(exported, cases):
    bundle, _ = exported("spatial_flow")
    compiled, graphs = open_runtime(bundle, kind="torch-compile"), open_runtime(bundle, kind="onnxruntime")
    for case in cases:
        np.testing.assert_allclose(compiled.infer(*case), graphs.infer(*case), atol=1e-4, rtol=0)


@pytest.mark.gpu
def test_cuda_provider_agrees_with_the_cpu(exported, cases):
    if "cuda" not in available():
        pytest.skip("this onnxruntime has no CUDA")
    bundle, _ = exported("smolvla_small")
    on_gpu, on_cpu = (open_runtime(bundle, kind="onnxruntime", device=device) for device in ("cuda", "cpu"))
    for case in cases:
        np.testing.assert_allclose(on_gpu.infer(*case), on_cpu.infer(*case), atol=5e-3, rtol=0)
