"""Modules to ONNX files."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from emma.errors import EmmaError
from emma.policy.export.graphs import Graph

OPSET = 20
# A protobuf file ends at 2 GiB; beyond this many bytes the weights go beside the graph.
INLINE_BYTES = 1 << 30


def write_graph(name: str, graph: Graph, folder: Path) -> Path:
    """Write `folder/name.onnx`. Raises EmmaError if torch cannot trace the module."""
    path = folder / f"{name}.onnx"
    size = sum(p.numel() * p.element_size() for p in graph.module.parameters())
    try:
        with quiet(), torch.no_grad():
            torch.onnx.export(
                graph.module.eval(),
                tuple(graph.inputs.values()),
                str(path),
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                dynamo=True,
                opset_version=OPSET,
                external_data=size > INLINE_BYTES,
                optimize=True,
                verbose=False,
            )
    except Exception as error:  # torch's exporter raises many kinds
        raise EmmaError(
            f"graph '{name}' cannot be traced",
            found=f"{type(error).__name__}: {str(error)[:800]}",
            expected="a policy whose shapes do not depend on its inputs' values",
            fix="run the bundle with the torch runtime",
        ) from error
    return path


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back the exporter's chatter; errors still come through."""
    talkers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [talker.level for talker in talkers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for talker in talkers:
            talker.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for talker, level in zip(talkers, levels, strict=True):
                talker.setLevel(level)
