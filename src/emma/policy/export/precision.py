"""Types written into a graph, for strongly typed engines: products in bfloat16, all else in float32.

Norms, softmax, rotary and time embeddings, residual sums and the flow's state stay float32, because only the inputs of
products are cast. TensorRT then chooses kernels, never types.
"""

from collections.abc import Iterator

import onnx
from onnx import TensorProto, helper

from emma.errors import EmmaError
from emma.policy.export.rules import value_types

PRECISIONS = ("fp32", "bf16")
PRODUCTS = ("MatMul", "Gemm", "Conv")
# Ends the names of values that are narrowed.
NARROW = "::bf16"
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)


def typed(model: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    """A copy of `model` in this precision; its inputs and outputs keep their types.

    Raises EmmaError for an unknown precision.
    """
    if precision not in PRECISIONS:
        raise EmmaError(f"unknown precision '{precision}'", found=precision, expected=" or ".join(PRECISIONS))
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if precision == "fp32":
        return copy
    narrow = _Narrowed(copy.graph)
    nodes = [node for old in copy.graph.node for node in narrow.replace(old)]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    # What was inferred for the old types no longer holds.
    del copy.graph.value_info[:]
    return copy


def misplaced(model: onnx.ModelProto) -> list[str]:
    """Nodes of a graph in bf16 that compute in another type than they should: products in bfloat16, all else not.

    model: of `typed(..., "bf16")`. Empty for a graph that is as it should be.
    """
    kinds = value_types(model)
    wrong = []
    for node in model.graph.node:
        if node.op_type == "Cast":
            continue
        floats = {kinds[name] for name in (*node.input, *node.output) if kinds.get(name) in FLOATS}
        wanted = TensorProto.BFLOAT16 if node.op_type in PRODUCTS else TensorProto.FLOAT
        if floats - {wanted}:
            found = ", ".join(sorted(TensorProto.DataType.Name(kind) for kind in floats))
            wrong.append(f"{node.op_type} {node.name or node.output[0]}: {found}")
    return wrong


class _Narrowed:
    """The casts of one graph; a value that several products read is cast once."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        floats = {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}
        known = [*graph.input, *graph.value_info, *graph.output]
        floats |= {v.name for v in known if v.type.tensor_type.elem_type == TensorProto.FLOAT}
        self._floats = floats
        self._casts: set[str] = set()

    def replace(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        if node.op_type not in PRODUCTS or not all(name in self._floats for name in node.input if name):
            yield node
            return
        for i, name in enumerate(node.input):
            if not name:
                continue
            narrow = f"{name}{NARROW}"
            if narrow not in self._casts:
                self._casts.add(narrow)
                yield helper.make_node("Cast", [name], [narrow], to=TensorProto.BFLOAT16)
            node.input[i] = narrow
        wide = node.output[0]
        node.output[0] = f"{wide}{NARROW}"
        # A product that reads this one takes its bfloat16 as it is.
        self._casts.add(node.output[0])
        yield node
        yield helper.make_node("Cast", [node.output[0]], [wide], to=TensorProto.FLOAT)
