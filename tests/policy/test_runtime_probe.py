"""The answer that an export keeps: asked again on the machine that opens it."""

import numpy as np
import pytest

from emma.errors import EmmaError
from emma.policy.bundle import load_bundle
from emma.policy.runtime import TorchRuntime, open_runtime
from emma.policy.runtime.probe import PROBE


def probe_of(bundle):
    with np.load(bundle.path / "export" / PROBE) as kept:
        return dict(kept)


def spoil(bundle, by):
    kept = probe_of(bundle)
    kept["expected"] = kept["expected"] + np.float32(by)
    np.savez_compressed(bundle.path / "export" / PROBE, **kept)


def test_it_is_the_hardest_input_and_the_reason_says_how_it_went(exported, cases):
    bundle, info = exported("spatial_flow")
    kept = probe_of(bundle)
    assert any(np.array_equal(kept["state"], case.observation.state) for case in cases)
    runtime = open_runtime(bundle)
    assert runtime.name.startswith("onnxruntime")
    assert f"on this machine max abs error {info.parity.max_abs_error:.1e}" in runtime.reason


def test_the_noise_begins_anew_after_it(exported, cases):
    opened = open_runtime(exported("smolvla_small")[0])
    np.testing.assert_allclose(
        opened.infer(*cases[0]), TorchRuntime(exported("smolvla_small")[0]).infer(*cases[0]), atol=1e-4, rtol=0
    )


def test_graphs_that_answer_otherwise_here_are_not_used(own_copy):
    spoil(own_copy, 0.01)
    with pytest.raises(EmmaError, match="on this machine") as error:
        open_runtime(own_copy, kind="onnxruntime")
    assert "emma export" in error.value.fix
    runtime = open_runtime(own_copy)
    assert runtime.name == "torch"
    assert "do not give the policy's answer on this machine" in runtime.reason


def test_an_export_without_one_says_that_nothing_was_compared(own_copy):
    (own_copy.path / "export" / PROBE).unlink()
    assert "not compared on this machine" in open_runtime(load_bundle(own_copy.path)).reason
