"""Graphs give the policy's actions, in their runtime and not only in torch; what does not is refused."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from emma.bench.graphs import dry_run
from emma.bench.stand_in import standing_in
from emma.bench.tensorrt_names import absent, bindings_names
from emma.errors import EmmaError
from emma.policy.bundle import load_bundle
from emma.policy.export import bundle_export, smolvla_patches
from emma.policy.export.affine import affine, normaliser
from emma.policy.export.bundle_export import export_bundle
from emma.policy.export.parity import REFUSED, Difference, parity, worst
from emma.policy.export.precision import PRODUCTS, misplaced, typed
from emma.policy.export.rules import broken_rules, value_types
from emma.policy.exported import read_export, usable_export
from emma.policy.loading import load_policy
from emma.policy.runtime import TorchRuntime, open_runtime
from emma.policy.runtime.instruction_tokenizer import Words

POLICIES = ("spatial_flow", "act_small", "smolvla_small")
# What the graphs may consist of: all of it is in TensorRT 10's operator table for these types.
OPERATORS = {
    *("Add", "And", "Cast", "Concat", "Conv", "Cos", "CumSum", "Div", "Exp", "Expand", "Flatten", "Gather", "Gemm"),
    *("LayerNormalization", "LessOrEqual", "MatMul", "MaxPool", "Mul", "Neg", "Not", "Pow", "Reciprocal", "ReduceMean"),
    *("ReduceSum", "Relu", "Reshape", "Resize", "Sigmoid", "Sin", "Slice", "Softmax", "Split", "Sqrt", "Squeeze"),
    *("Sub", "Tanh", "Transpose", "Unsqueeze", "Where", "BatchNormalization", "Max", "Gelu", "Erf", "Clip"),
    *("RMSNormalization", "Swish", "Identity", "Constant", "Pad", "Equal"),
}


@pytest.mark.parametrize("policy", POLICIES)
def test_graph_in_onnxruntime_gives_the_unpatched_policys_actions(exported, cases, policy):
    bundle, info = exported(policy)
    assert info.parity.passed
    assert info.parity.max_abs_error <= 1e-4
    assert info.parity.observations == len(cases)
    assert usable_export(bundle.path) == info
    # Again from the files, other noise, and another instruction where the policy reads one.
    reference, graphs = TorchRuntime(bundle, seed=7), open_runtime(bundle, kind="onnxruntime")
    graphs.reset(7)
    for observation, _ in cases:
        expected = reference.infer(observation, "put the cube on the plate")
        found = graphs.infer(observation, "put the cube on the plate")
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)
    assert np.abs(np.diff(expected, axis=0)).max() > 0


@pytest.mark.parametrize("policy", POLICIES)
def test_graphs_are_static_and_of_operators_that_engines_have(exported, policy):
    bundle, info = exported(policy)
    for name in info.graphs:
        model = onnx.load(bundle.path / "export" / f"{name}.onnx")
        onnx.checker.check_model(model)
        for value in (*model.graph.input, *model.graph.output):
            dims = value.type.tensor_type.shape.dim
            assert all(dim.HasField("dim_value") for dim in dims), value.name
            assert dims[0].dim_value == 1 or name == "prefix" or value.name in ("keys", "values")
        used = Counter(node.op_type for node in model.graph.node)
        assert set(used) <= OPERATORS, set(used) - OPERATORS
        assert not model.functions
    step = info.graphs.get("step")
    if step:
        inputs = {v.name: v for v in onnx.load(bundle.path / "export/step.onnx").graph.input}
        shape = [d.dim_value for d in inputs["time"].type.tensor_type.shape.dim]
        assert shape == [1, info.chunk]


def test_patches_are_exact_and_undone(trained):
    from lerobot.policies.smolvla import smolvlm_with_expert

    loaded = load_policy(load_bundle(trained("smolvla_small")))
    model = loaded.policy.model
    both = model.vlm_with_expert
    image = torch.rand(1, 3, *reversed(loaded.config.resize_imgs_with_padding)) * 2 - 1
    x, position = torch.randn(1, 5, 4, 32), torch.arange(5)[None]
    rope = smolvlm_with_expert.apply_rope
    implementation = both.get_vlm_model().vision_model.config._attn_implementation
    with torch.no_grad():
        seen, turned = both.embed_image(image), rope(x, position)
        with smolvla_patches.patched(model):
            assert smolvlm_with_expert.apply_rope is not rope
            torch.testing.assert_close(both.embed_image(image), seen, atol=1e-5, rtol=0)
            torch.testing.assert_close(smolvlm_with_expert.apply_rope(x, position), turned, atol=1e-6, rtol=0)
    assert smolvlm_with_expert.apply_rope is rope
    assert "embed_image" not in vars(both)
    assert "eager_attention_forward" not in vars(both)
    assert both.get_vlm_model().vision_model.config._attn_implementation == implementation


def test_patches_are_undone_when_tracing_fails(trained):
    from lerobot.policies.smolvla import smolvlm_with_expert

    model = load_policy(load_bundle(trained("smolvla_small"))).policy.model
    rope = smolvlm_with_expert.apply_rope
    with pytest.raises(RuntimeError, match="tracer"), smolvla_patches.patched(model):
        raise RuntimeError("tracer")
    assert smolvlm_with_expert.apply_rope is rope


def test_untested_versions_are_refused(monkeypatch):
    smolvla_patches.require_tested_versions()
    monkeypatch.setitem(smolvla_patches.TESTED, "lerobot", ("0.5.0",))
    with pytest.raises(EmmaError, match="cannot be exported with this lerobot") as error:
        smolvla_patches.require_tested_versions()
    assert error.value.expected == "0.5.0"


def test_a_wrong_graph_is_refused_with_its_worst_input(own_copy, cases, monkeypatch):
    before = read_export(own_copy.path / "export")

    def wrong(name, graph, folder):
        model = onnx.load(own_copy.path / "export" / f"{name}.onnx")
        bias = next((t for t in model.graph.initializer if t.name == "net.output.bias"), None)
        if bias is not None:
            bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(0.01), bias.name))
            spoiled.append(name)
        onnx.save(model, folder / f"{name}.onnx")

    spoiled = []
    monkeypatch.setattr(bundle_export, "write_graph", wrong)
    with pytest.raises(EmmaError, match="do not give the policy's actions") as error:
        export_bundle(own_copy, cases, reference="simulator")
    assert spoiled == ["step"]
    assert "max abs error" in error.value.found
    with np.load(own_copy.path / REFUSED, allow_pickle=False) as saved:
        assert str(saved["instruction"]) == cases[0].instruction
        assert saved["image_top"].shape == (96, 96, 3)
        assert np.abs(saved["expected"] - saved["found"]).max() > 1e-5
    # The earlier export is still whole.
    assert usable_export(own_copy.path) == before
    assert not list(own_copy.path.glob(".export*"))


def test_nan_does_not_pass(cases):
    chunk = np.zeros((16, 7), np.float32)
    good = Difference(cases[0], chunk, chunk, 0.0)
    bad = Difference(cases[1], chunk, chunk * np.nan, float("nan"))
    assert parity([good], "test").passed
    assert worst([good, bad]) is bad
    assert not parity([bad, good], "test").passed
    assert not parity([good, bad], "test").passed


def test_a_policy_without_graphs_is_told(trained):
    loaded = load_policy(load_bundle(trained("act_small")))
    loaded.config.__class__ = type("Other", (type(loaded.config),), {"type": "diffusion"})
    with pytest.raises(EmmaError, match="'diffusion' cannot be exported"):
        bundle_export.policy_graphs(loaded)


@pytest.mark.parametrize("change", ["weights", "graph", "parity", "json", "absent"])
def test_export_of_other_weights_is_not_used(own_copy, change):
    file = own_copy.path / "export/export.json"
    if change == "weights":
        weights = own_copy.path / "model.safetensors"
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
    elif change == "graph":
        with (own_copy.path / "export/step.onnx").open("ab") as graph:
            graph.write(b"\0")
    elif change == "parity":
        raw = json.loads(file.read_text())
        raw["parity"]["max_abs_error"] = 0.5
        file.write_text(json.dumps(raw))
    elif change == "json":
        file.write_text("{}")
    else:
        file.unlink()
    with pytest.raises(EmmaError) as error:
        usable_export(own_copy.path)
    assert "emma export" in error.value.fix
    runtime = open_runtime(own_copy, kind="auto")
    assert runtime.name == "torch"
    assert error.value.problem in runtime.reason
    with pytest.raises(EmmaError):
        open_runtime(own_copy, kind="onnxruntime")


@pytest.mark.parametrize("policy", ["spatial_flow", "act_small"])
def test_affine_is_what_the_processors_do(trained, policy):
    loaded = load_policy(load_bundle(trained(policy)))
    state = torch.randn(7)
    batch = {"observation.state": state, "task": "put the cube in the bin"}
    values = affine(normaliser(loaded.pre.steps), "observation.state")
    expected = loaded.pre(batch)["observation.state"][0].numpy()
    np.testing.assert_allclose((state.numpy() - values.shift) / values.scale, expected, atol=1e-5)


def test_bf16_graph_is_valid_and_narrows_products_alone(exported):
    bundle, _ = exported("smolvla_small")
    model = onnx.load(bundle.path / "export/step.onnx")
    narrow = typed(model, "bf16")
    onnx.checker.check_model(narrow, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(narrow, strict_mode=True, data_prop=True)
    kinds = {v.name: v.type.tensor_type.elem_type for v in (*inferred.graph.value_info, *inferred.graph.output)}
    products = others = 0
    for node in inferred.graph.node:
        for name in node.output:
            is_narrow = kinds.get(name) == onnx.TensorProto.BFLOAT16
            if node.op_type in ("MatMul", "Gemm", "Conv"):
                assert is_narrow, node.name
                products += 1
            elif node.op_type != "Cast":
                assert not is_narrow, node.op_type
                others += node.op_type in ("Softmax", "Sin", "Cos")
    assert products == sum(node.op_type in ("MatMul", "Gemm", "Conv") for node in model.graph.node) > 0
    assert others == 4, "two softmaxes, one sine and one cosine, all in float32"
    assert [v.type for v in narrow.graph.input] == [v.type for v in model.graph.input]
    assert typed(model, "fp32") == model
    with pytest.raises(EmmaError, match="unknown precision"):
        typed(model, "int4")


def test_bf16_graph_still_computes_the_velocity(exported):
    """In onnx' reference evaluator, since onnxruntime has no bfloat16 products on a CPU."""
    bundle, _ = exported("spatial_flow")
    model = onnx.load(bundle.path / "export/step.onnx")
    noise = np.random.default_rng(0)
    feeds = {
        v.name: noise.standard_normal([d.dim_value for d in v.type.tensor_type.shape.dim]).astype(np.float32)
        for v in model.graph.input
    }
    wide, narrow = (
        onnx.reference.ReferenceEvaluator(graph).run(None, feeds)[0] for graph in (model, typed(model, "bf16"))
    )
    assert narrow.dtype == np.float32
    cosine = float((wide * narrow).sum() / np.sqrt((wide**2).sum() * (narrow**2).sum()))
    assert 0.999 <= cosine <= 1.0 + 1e-6
    assert np.abs(wide - narrow).max() > 0


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_exported_graphs_keep_every_rule(exported, policy, precision):
    bundle, info = exported(policy)
    for name in info.graphs:
        graph = typed(onnx.load(bundle.path / "export" / f"{name}.onnx"), precision)
        assert broken_rules(graph) == []


@pytest.mark.parametrize("policy", POLICIES)
def test_bf16_is_in_the_products_and_nowhere_else(exported, policy):
    """Node by node: inputs and outputs of every product are bfloat16, of everything else none is."""
    bundle, info = exported(policy)
    for name in info.graphs:
        graph = typed(onnx.load(bundle.path / "export" / f"{name}.onnx"), "bf16")
        types, products = value_types(graph), 0
        for node in graph.graph.node:
            kinds = {types[value] for value in (*node.input, *node.output) if value}
            if node.op_type in PRODUCTS:
                products += 1
                assert kinds == {TensorProto.BFLOAT16}, node.name
            elif node.op_type != "Cast":
                assert TensorProto.BFLOAT16 not in kinds, node.name
        assert products > 0
        assert misplaced(graph) == []
        assert {v.type.tensor_type.elem_type for v in graph.graph.output} <= {
            TensorProto.FLOAT,
            TensorProto.BOOL,
            TensorProto.INT64,
        }


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_dry_run_of_builder_and_runner(exported, cases, precision):
    """Polygraphy's builder, our engine files and the runner, from pixels to joint targets."""
    bundle, info = exported("spatial_flow")
    with standing_in() as calls:
        assert dry_run(bundle, info, precision, cases[0]) > (1 - 1e-6 if precision == "fp32" else 0.995)
    made = [name for name, _ in calls.made]
    assert made.count("build_serialized_network") == len(info.graphs)
    assert ("create_network", 2) in calls.made, "the network must be strongly typed"
    assert ("set_timing_cache", b"timings") in calls.made, "the second build reads what the first one timed"
    # Types that Polygraphy looks for and TensorRT 10 does not have.
    assert calls.unknown <= {"e8m0", "fp4"}


@pytest.mark.slow
def test_every_name_that_is_used_is_in_the_bindings(exported, cases):
    bindings = bindings_names()
    if bindings is None:
        pytest.skip("TensorRT's bindings cannot be had here")
    bundle, info = exported("spatial_flow")
    with standing_in() as calls:
        dry_run(bundle, info, "bf16", cases[0])
    assert absent(calls.names - calls.unknown, bindings) == []


@pytest.mark.parametrize(("policy", "newline"), [("spatial_flow", False), ("smolvla_small", True)])
def test_exported_tokenizer_reads_as_the_pre_processor_does(exported, policy, newline):
    bundle, info = exported(policy)
    assert info.tokenizer is not None
    assert info.tokenizer.newline is newline
    state = np.zeros(bundle.info.state_size, np.float32)
    mine, theirs = Words(bundle, info), Words(bundle, replace(info, tokenizer=None))
    for text in ("put the cube in the bin", "", "Pick UP, gently: the blue_block!\n", "one two three " * 100):
        for found, expected in zip(mine(text, state), theirs(text, state), strict=True):
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == expected.dtype


def test_exported_policy_opens_without_lerobot(exported):
    bundle, _ = exported("spatial_flow")
    code = (
        "import sys; from emma.policy.bundle import load_bundle; from emma.policy.runtime import open_runtime\n"
        "print(open_runtime(load_bundle(sys.argv[1])).name, {'lerobot', 'torch'} & set(sys.modules) or 'none')"
    )
    done = subprocess.run([sys.executable, "-c", code, bundle.path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "onnxruntime (cpu) none"


def test_changed_tokenizer_is_refused(own_copy):
    with (own_copy.path / "export/tokenizer.json").open("a") as file:
        file.write(" ")
    with pytest.raises(EmmaError, match="was changed"):
        usable_export(own_copy.path)
