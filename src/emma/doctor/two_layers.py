"""`python -m emma.doctor.two_layers torch|onnxruntime|tensorrt`: two layers computed by a library, compared with NumPy.

Prints one line of JSON, for a `Probe`. What a library lists as available and what computes here are two things: a CUDA
provider without its libraries falls back on the processor without an error.
"""

import json
import math
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROWS, INNER, OUTER = 4, 32, 8
# Listed by every build; it sends inputs to a server.
REMOTE = ("AzureExecutionProvider",)


def weights() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x (ROWS, INNER), first (INNER, INNER), second (INNER, OUTER), float32."""
    rng = np.random.default_rng(0)
    shapes = ((ROWS, INNER), (INNER, INNER), (INNER, OUTER))
    x, first, second = (rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
    return x, first / math.sqrt(INNER), second / math.sqrt(INNER)


def expected() -> np.ndarray:
    """(ROWS, OUTER) of two layers with a ReLU between, in float64."""
    x, first, second = (array.astype(np.float64) for array in weights())
    return np.maximum(x @ first, 0.0) @ second


def error_of(found: np.ndarray) -> float:
    """Largest difference to NumPy; infinite for another shape or NaN."""
    if found.shape != expected().shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - expected()).max())


def graph() -> Any:
    """The two layers as an ONNX model with input x and output y."""
    from onnx import TensorProto, helper, numpy_helper

    x, first, second = weights()
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["inner"]),
        helper.make_node("Relu", ["inner"], ["active"]),
        helper.make_node("MatMul", ["active", "second"], ["y"]),
    ]
    made = helper.make_graph(
        nodes,
        "two_layers",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (ROWS, OUTER))],
        [numpy_helper.from_array(first, "first"), numpy_helper.from_array(second, "second")],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def by_torch() -> dict[str, Any]:
    """Versions, and the error of the GPU's answer where there is a GPU."""
    import torch

    cuda = torch.cuda.is_available()
    answer: dict[str, Any] = {
        "version": torch.__version__,
        "built_for": torch.version.cuda,
        "cuda": cuda,
        "device": torch.cuda.get_device_name(0) if cuda else None,
        "threads": torch.get_num_threads(),
        "error": None,
    }
    if cuda:
        x, first, second = (torch.from_numpy(array).to("cuda") for array in weights())
        answer["error"] = error_of((torch.relu(x @ first) @ second).cpu().numpy())
    return answer


def by_onnxruntime() -> dict[str, Any]:
    """version, and for each provider of this build its error, or why it does not run."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    providers = [name for name in onnxruntime.get_available_providers() if name not in REMOTE]
    if len(providers) > 1 and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()
    model, x = graph().SerializeToString(), weights()[0]
    rows: dict[str, Any] = {}
    for name in providers:
        try:
            session = onnxruntime.InferenceSession(model, providers=[name])
            chosen = session.get_providers()[0]
            rows[name] = error_of(session.run(None, {"x": x})[0]) if chosen == name else f"falls back on {chosen}"
        except Exception as error:  # onnxruntime raises its own kinds, without a common base
            rows[name] = str(error).strip().splitlines()[0][:200]
    return {"version": onnxruntime.__version__, "providers": rows}


def by_tensorrt() -> dict[str, Any]:
    """version and error, or the problem as an EmmaError tells it."""
    from emma.errors import EmmaError
    from emma.policy.runtime.tensorrt import build_engine, require_tensorrt, run_once

    try:
        platform = require_tensorrt()
        with tempfile.TemporaryDirectory(prefix="emma-doctor-") as folder:
            path = Path(folder) / "two_layers.onnx"
            path.write_bytes(graph().SerializeToString())
            engine = build_engine(path, "fp32", Path(folder) / "timing.cache")
            return {"version": platform.tensorrt, "error": error_of(run_once(engine, {"x": weights()[0]})["y"])}
    except EmmaError as error:
        return {"problem": error.problem, "found": str(error.found), "fix": error.fix or ""}


KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    "torch": by_torch,
    "onnxruntime": by_onnxruntime,
    "tensorrt": by_tensorrt,
}

if __name__ == "__main__":
    print(json.dumps(KINDS[sys.argv[1]]()))
