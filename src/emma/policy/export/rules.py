"""Published rules for graphs that TensorRT 10 parses: operators, types, shapes. A graph that keeps them can still fail.

Rank and volume are the limits of `Dims::MAX_DIMS` and `INetworkDefinition::addInput` in TensorRT 10's NvInfer headers;
the operators and their restrictions are in tensorrt_operators.yaml.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

MAX_RANK = 8
MAX_VOLUME = 2**31 - 1
BFLOAT16_CONV_OPSET = 22


@dataclass(frozen=True)
class Table:
    """opset: first and last. operators: name -> types of the data inputs. constant_inputs: name -> position.
    resize: attribute -> values. largest_k: of TopK."""

    opset: tuple[int, int]
    operators: dict[str, frozenset[int]]
    constant_inputs: dict[str, int]
    resize: dict[str, frozenset[str]]
    largest_k: int


@cache
def table() -> Table:
    """The published table."""
    raw = yaml.safe_load(resources.files("emma.policy.export").joinpath("tensorrt_operators.yaml").read_text())
    operators = {
        name: frozenset(TensorProto.DataType.Value(kind) for kind in group["types"])
        for group in raw["operators"]
        for name in group["names"]
    }
    return Table(
        opset=tuple(raw["opset"]),
        operators=operators,
        constant_inputs=raw["constant_inputs"],
        resize={name: frozenset(values) for name, values in raw["resize"].items()},
        largest_k=raw["largest_k"],
    )


@dataclass(frozen=True)
class Broken:
    """A rule that a node breaks. node: its name or first output."""

    node: str
    operator: str
    rule: str

    def __str__(self) -> str:
        return f"{self.operator} {self.node}: {self.rule}"


class _Graph:
    """A graph with the type and shape of every value."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = _inferred(model).graph
        self.opsets = {entry.domain: entry.version for entry in model.opset_import}
        self.constants = {tensor.name: tensor for tensor in self.graph.initializer}
        self.known: set[str] = set(self.constants)
        self.known |= {node.output[0] for node in self.graph.node if node.op_type == "Constant"}
        self.types: dict[str, int] = {tensor.name: tensor.data_type for tensor in self.graph.initializer}
        self.shapes: dict[str, tuple[int | None, ...]] = {t.name: tuple(t.dims) for t in self.graph.initializer}
        for value in (*self.graph.input, *self.graph.output, *self.graph.value_info):
            tensor = value.type.tensor_type
            self.types[value.name] = tensor.elem_type
            if tensor.HasField("shape"):
                dims = tensor.shape.dim
                self.shapes[value.name] = tuple(d.dim_value if d.HasField("dim_value") else None for d in dims)

    def value(self, name: str) -> np.ndarray | None:
        """A constant's array, or None for what is computed."""
        return numpy_helper.to_array(self.constants[name]) if name in self.constants else None


def value_types(model: onnx.ModelProto) -> dict[str, int]:
    """Every value of the graph -> its TensorProto type. Raises InferenceError where types contradict each other."""
    return _Graph(model).types


def _inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with inferred types and shapes, contradictions refused."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for entry in copy.opset_import:
        if entry.domain in ("", "ai.onnx"):
            # ONNX lets convolutions be bfloat16 from opset 22 on; TensorRT's table lets them be in every opset.
            entry.version = max(entry.version, BFLOAT16_CONV_OPSET)
    return onnx.shape_inference.infer_shapes(copy, check_type=True, strict_mode=True, data_prop=True)


def broken_rules(model: onnx.ModelProto) -> list[Broken]:
    """Every rule that the graph breaks, in its order of nodes. model: without external data, or with it loaded.

    Raises onnx.shape_inference.InferenceError for a graph whose types contradict each other.
    """
    graph = _Graph(model)
    return [*_interface(graph), *(broken for node in graph.graph.node for broken in _node(node, graph))]


def _interface(graph: _Graph) -> Iterator[Broken]:
    version = graph.opsets.get("", 0)
    first, last = table().opset
    if not first <= version <= last:
        yield Broken("graph", "opset", f"{version} is not in {first} to {last}")
    made = [*graph.constants, *(v.name for v in graph.graph.input if v.name not in graph.constants)]
    made += [name for node in graph.graph.node for name in node.output if name]
    for name in sorted({name for name, count in Counter(made).items() if count > 1}):
        yield Broken(name, "tensor", "is made twice")
    for value in (*graph.graph.input, *graph.graph.output):
        if None in graph.shapes.get(value.name, (None,)):
            yield Broken(value.name, "input or output", "its shape is not fixed")
    for name, shape in graph.shapes.items():
        if len(shape) > MAX_RANK:
            yield Broken(name, "tensor", f"{len(shape)} dimensions, {MAX_RANK} are allowed")
        if None not in shape and math.prod(dim or 0 for dim in shape) > MAX_VOLUME:
            yield Broken(name, "tensor", f"{shape} has more than {MAX_VOLUME} elements")


def _node(node: onnx.NodeProto, graph: _Graph) -> Iterator[Broken]:
    name = node.name or node.output[0]

    def broken(rule: str) -> Broken:
        return Broken(name, node.op_type, rule)

    allowed = table().operators.get(node.op_type)
    if node.domain not in ("", "ai.onnx") or allowed is None:
        yield broken("not in the operator table")
        return
    for value in _data_values(node):
        kind = graph.types.get(value)
        if kind is None:
            yield broken(f"the type of {value} cannot be inferred")
        elif kind not in allowed:
            yield broken(f"{value} is {TensorProto.DataType.Name(kind)}")
    position = table().constant_inputs.get(node.op_type)
    if position is not None and len(node.input) > position:
        wanted = node.input[position]
        if wanted and wanted not in graph.known:
            yield broken(f"input {position} ({wanted}) must be constant")
    check = RESTRICTIONS.get(node.op_type)
    if check is not None:
        yield from (broken(rule) for rule in check(node, graph, _attributes(node)))


def _data_values(node: onnx.NodeProto) -> Iterator[str]:
    """Inputs of the same type variable as the first, all of Where; of a Cast what comes out, too."""
    if node.op_type in ("Cast", "CastLike"):
        yield from (node.input[0], node.output[0])
        return
    if node.op_type == "Where":
        yield from (name for name in node.input if name)
        return
    formal = onnx.defs.get_schema(node.op_type).inputs
    for i, name in enumerate(node.input):
        parameter = formal[min(i, len(formal) - 1)]
        if name and parameter.type_str == formal[0].type_str:
            yield name


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    made = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return {key: value.decode() if isinstance(value, bytes) else value for key, value in made.items()}


def _pool(node: onnx.NodeProto, graph: _Graph, attributes: dict[str, Any]) -> Iterator[str]:
    if len(graph.shapes.get(node.input[0], ())) not in (4, 5):
        yield "2D or 3D pooling only"
    if any(step != 1 for step in attributes.get("dilations", ())):
        yield "dilations must be 1"
    if len([name for name in node.output if name]) > 1:
        yield "Indices cannot be an output"


def _one_output(node: onnx.NodeProto, graph: _Graph, attributes: dict[str, Any]) -> Iterator[str]:
    if len([name for name in node.output if name]) > 1:
        yield "only the first output is supported"


def _resize(node: onnx.NodeProto, graph: _Graph, attributes: dict[str, Any]) -> Iterator[str]:
    for name, values in table().resize.items():
        if name in attributes and attributes[name] not in values:
            yield f"{name} {attributes[name]}"
    if attributes.get("antialias"):
        yield "antialias"


def _scatter(node: onnx.NodeProto, graph: _Graph, attributes: dict[str, Any]) -> Iterator[str]:
    if attributes.get("reduction", "none") != "none":
        yield f"reduction {attributes['reduction']}"


def _top_k(node: onnx.NodeProto, graph: _Graph, attributes: dict[str, Any]) -> Iterator[str]:
    count = graph.value(node.input[1])
    if attributes.get("sorted", 1) != 1:
        yield "sorted must be 1"
    if count is not None and int(count.max()) > table().largest_k:
        yield f"K is above {table().largest_k}"


def _dropout(node: onnx.NodeProto, graph: _Graph, attributes: dict[str, Any]) -> Iterator[str]:
    if len(node.input) > 2 and node.input[2]:
        training = graph.value(node.input[2])
        if training is None or training.any():
            yield "training_mode must be constant and False"


RESTRICTIONS: dict[str, Callable[[onnx.NodeProto, _Graph, dict[str, Any]], Iterator[str]]] = {
    "MaxPool": _pool,
    "AveragePool": _pool,
    "LpPool": _pool,
    "LayerNormalization": _one_output,
    "Resize": _resize,
    "ScatterND": _scatter,
    "TopK": _top_k,
    "Dropout": _dropout,
}
