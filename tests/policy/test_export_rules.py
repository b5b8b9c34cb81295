"""TensorRT's published rules, on graphs that break one each. test_export.py holds the exported graphs to them."""

import importlib.util

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from emma.bench.stand_in import standing_in
from emma.bench.tensorrt_names import absent
from emma.policy.export.precision import misplaced, typed
from emma.policy.export.rules import broken_rules

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def model(nodes, inputs, outputs, constants=(), opset=20):
    """inputs, outputs: name -> (type, shape); constants: name -> array."""
    values = [[helper.make_tensor_value_info(n, *v) for n, v in side.items()] for side in (inputs, outputs)]
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in dict(constants).items()]
    graph = helper.make_graph([helper.make_node(*n[:3], **n[3]) for n in nodes], "g", *values, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


X, SQUARE = {"x": (FLOAT, (2, 3))}, {"y": (FLOAT, (2, 3))}
PICTURE = {"x": (FLOAT, (1, 3, 8, 8))}
BROKEN = {
    "an operator without a place in the table": (
        model([("Det", ["x"], ["y"], {})], {"x": (FLOAT, (3, 3))}, {"y": (FLOAT, ())}),
        "not in the operator table",
    ),
    "a type that the operator does not take": (
        model([("Sin", ["x"], ["y"], {})], {"x": (TensorProto.DOUBLE, (2,))}, {"y": (TensorProto.DOUBLE, (2,))}),
        "x is DOUBLE",
    ),
    "arithmetic on bytes": (
        model([("Add", ["x", "x"], ["y"], {})], {"x": (TensorProto.UINT8, (2,))}, {"y": (TensorProto.UINT8, (2,))}),
        "x is UINT8",
    ),
    "axes that are computed": (
        model(
            [("ReduceMean", ["x", "axes"], ["y"], {"keepdims": 1})],
            {**X, "axes": (INT64, (1,))},
            {"y": (FLOAT, (2, 1))},
        ),
        "input 1 (axes) must be constant",
    ),
    "an opset of tomorrow": (model([("Relu", ["x"], ["y"], {})], X, SQUARE, opset=23), "23 is not in 9 to 20"),
    "a shape that is open": (
        model([("Relu", ["x"], ["y"], {})], {"x": (FLOAT, ("batch", 3))}, {"y": (FLOAT, ("batch", 3))}),
        "its shape is not fixed",
    ),
    "nine dimensions": (
        model([("Relu", ["x"], ["y"], {})], {"x": (FLOAT, (1,) * 9)}, {"y": (FLOAT, (1,) * 9)}),
        "9 dimensions",
    ),
    "more elements than an address has": (
        model([("Relu", ["x"], ["y"], {})], {"x": (FLOAT, (65536, 32768))}, {"y": (FLOAT, (65536, 32768))}),
        "more than 2147483647 elements",
    ),
    "a resize that TensorRT does not have": (
        model(
            [("Resize", ["x", "", "scales"], ["y"], {"mode": "cubic"})],
            PICTURE,
            {"y": (FLOAT, (1, 3, 16, 16))},
            {"scales": np.array([1, 1, 2, 2], np.float32)},
        ),
        "mode cubic",
    ),
    "pooling with indices": (
        model(
            [("MaxPool", ["x"], ["y", "where"], {"kernel_shape": [2, 2], "strides": [2, 2]})],
            PICTURE,
            {"y": (FLOAT, (1, 3, 4, 4)), "where": (INT64, (1, 3, 4, 4))},
        ),
        "Indices cannot be an output",
    ),
    "the largest of too many": (
        model(
            [("TopK", ["x", "k"], ["y", "i"], {})],
            {"x": (FLOAT, (5000,))},
            {"y": (FLOAT, (4000,)), "i": (INT64, (4000,))},
            {"k": np.array([4000])},
        ),
        "K is above 3839",
    ),
    "a name that two nodes make": (
        model([("Relu", ["x"], ["y"], {}), ("Abs", ["x"], ["y"], {})], X, SQUARE),
        "is made twice",
    ),
    "an operator of somebody": (
        model([("Relu", ["x"], ["y"], {"domain": "com.somebody"})], X, SQUARE),
        "not in the operator table",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_rule_is_seen(name):
    graph, rule = BROKEN[name]
    if name == "an operator of somebody":
        graph.opset_import.append(helper.make_opsetid("com.somebody", 1))
    assert any(rule in str(broken) for broken in broken_rules(graph)), broken_rules(graph)


def test_types_that_contradict_each_other():
    graph = model([("Add", ["x", "i"], ["y"], {})], {**X, "i": (INT64, (2, 3))}, SQUARE)
    with pytest.raises(onnx.shape_inference.InferenceError):
        broken_rules(graph)


def test_a_product_of_a_product_is_narrowed_once():
    weights = {"a": np.eye(3, dtype=np.float32), "b": np.eye(3, dtype=np.float32)}
    graph = model([("MatMul", ["x", "a"], ["z"], {}), ("MatMul", ["z", "b"], ["y"], {})], X, SQUARE, weights)
    inner = helper.make_tensor_value_info("z", FLOAT, (2, 3))
    graph.graph.value_info.append(inner)
    narrow = typed(graph, "bf16")
    assert broken_rules(narrow) == []
    assert misplaced(narrow) == []
    assert [node.input[0] for node in narrow.graph.node if node.op_type == "MatMul"] == ["x::bf16", "z::bf16"]


def test_a_node_in_another_type_is_found():
    graph = model(
        [("Cast", ["x"], ["n"], {"to": TensorProto.BFLOAT16}), ("Relu", ["n"], ["y"], {})],
        X,
        {"y": (TensorProto.BFLOAT16, (2, 3))},
    )
    assert misplaced(graph) == ["Relu y: BFLOAT16"]
    assert misplaced(model([("MatMul", ["x", "w"], ["y"], {})], X, SQUARE, {"w": np.eye(3, dtype=np.float32)})) == [
        "MatMul y: FLOAT"
    ]


def test_a_graph_that_breaks_a_rule_is_not_built(tmp_path):
    from emma.errors import EmmaError
    from emma.policy.runtime.tensorrt import build_engine

    onnx.save(BROKEN["an operator without a place in the table"][0], tmp_path / "g.onnx")
    with standing_in(), pytest.raises(EmmaError, match=r"TensorRT cannot build g\.onnx"):
        build_engine(tmp_path / "g.onnx", "fp32", tmp_path / "timing.cache")


def test_cuda_runtime_of_the_wheels_is_found(monkeypatch):
    """CUDA 13's wheels keep it where Polygraphy does not look."""
    from polygraphy import cuda
    from polygraphy.cuda import cuda as module

    from emma.policy.runtime.tensorrt import find_cuda_runtime

    if importlib.util.find_spec("nvidia") is None:
        pytest.skip("a torch without CUDA")
    monkeypatch.setattr(module, "G_CUDA", None)
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    find_cuda_runtime()
    assert "libcudart.so" in cuda.wrapper().handle._name


def test_names_are_looked_up_in_the_bindings():
    bindings = b"\0IBuilderConfig\0set_flag\0NamedBuilder\0"
    assert absent({"IBuilderConfig.set_flag", "Builder"}, bindings) == []
    assert absent({"IBuilderConfig.set_flags", "builder"}, bindings) == ["IBuilderConfig.set_flags", "builder"]
