"""Every call of TensorRT, through Polygraphy. docs/how-to/export.md says what of it was run, and where."""

import importlib.util
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emma.errors import EmmaError
from emma.policy.bundle import Bundle
from emma.policy.export.engines import EngineKey, Platform, Recorded, ensure_engine, usable_engines, worst_cosine
from emma.policy.export.engines import write_engines as accept
from emma.policy.export.parity import Case
from emma.policy.exported import ExportInfo, usable_export
from emma.policy.runtime.graph_runtime import (
    CHUNK,
    MASK,
    NOISY,
    PREFIX,
    STATE,
    TIME,
    TOKENS,
    VELOCITY,
    GraphRuntime,
)
from emma.policy.runtime.host import host_array

DRIVER = Path("/proc/driver/nvidia/version")
LIBRARY_PATH = "LD_LIBRARY_PATH"


def require_tensorrt() -> Platform:
    """What engines are built for here. Raises EmmaError if TensorRT, Polygraphy or a GPU is missing."""
    for module in ("polygraphy", "tensorrt"):
        if importlib.util.find_spec(module) is None:
            raise EmmaError(
                f"{'TensorRT' if module == 'tensorrt' else 'Polygraphy'} is not installed",
                found=f"no module {module}",
                expected="TensorRT 10 and Polygraphy on a machine with an NVIDIA GPU",
                fix="GPU=1 make setup; without a GPU the onnxruntime and torch runtimes work as they are",
            )
    import torch

    if not torch.cuda.is_available():
        raise EmmaError(
            "TensorRT needs an NVIDIA GPU",
            found="no CUDA device",
            expected="a GPU that the driver and torch can see",
            fix="see `emma doctor`; the onnxruntime and torch runtimes work without one",
        )
    import tensorrt

    properties = torch.cuda.get_device_properties(0)
    return Platform(
        tensorrt=str(tensorrt.__version__),
        gpu=properties.name,
        capability=f"{properties.major}.{properties.minor}",
        driver=DRIVER.read_text().splitlines()[0] if DRIVER.is_file() else "unknown",
    )


def build_engine(graph: Path, precision: str, timing: Path) -> bytes:
    """A strongly typed engine of an ONNX graph. timing: cache of kernel timings, read and added to."""
    import onnx
    from polygraphy.backend.trt import CreateConfig, EngineBytesFromNetwork, NetworkFromOnnxPath
    from polygraphy.exception import PolygraphyException

    from emma.policy.export.precision import typed

    with tempfile.TemporaryDirectory(prefix="emma-compile-") as scratch:
        path = Path(scratch) / graph.name
        model = typed(onnx.load(graph), precision)
        onnx.save(model, path, save_as_external_data=True, location=f"{graph.name}.data", size_threshold=1 << 20)
        try:
            build = EngineBytesFromNetwork(
                NetworkFromOnnxPath(str(path), strongly_typed=True),
                config=CreateConfig(load_timing_cache=str(timing) if timing.is_file() else None),
                save_timing_cache=str(timing),
            )
            return bytes(build())
        except PolygraphyException as error:
            raise EmmaError(
                f"TensorRT cannot build {graph.name}",
                found=str(error)[:800],
                expected="a graph that TensorRT 10 supports",
                fix="use the onnxruntime runtime, and report the message",
            ) from error


def find_cuda_runtime() -> None:
    """Let Polygraphy find the CUDA runtime of torch's wheels: it looks elsewhere, and keeps what it finds first."""
    from polygraphy import cuda

    wheels = importlib.util.find_spec("nvidia")
    roots = wheels.submodule_search_locations if wheels is not None else None
    folders = [str(path.parent) for root in roots or () for path in Path(root).glob("*/lib/libcudart.so*")]
    before = os.environ.get(LIBRARY_PATH)
    os.environ[LIBRARY_PATH] = os.pathsep.join([*folders, *filter(None, [before])])
    try:
        cuda.wrapper()
    finally:
        if before is None:
            del os.environ[LIBRARY_PATH]
        else:
            os.environ[LIBRARY_PATH] = before


def run_once(engine: bytes, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs of a serialised engine by name, host arrays."""
    from polygraphy.backend.trt import EngineFromBytes, TrtRunner

    find_cuda_runtime()
    with TrtRunner(EngineFromBytes(engine)) as runner:
        return {name: np.array(array) for name, array in runner.infer(feeds).items()}


class Engines:
    """The graphs of one export as engines. What passes from prefix to step stays on the GPU."""

    def __init__(self, engines: dict[str, Path], info: ExportInfo) -> None:
        from polygraphy.backend.trt import EngineFromPath, TrtRunner

        find_cuda_runtime()
        self._runners: dict[str, Any] = {}
        self._inputs: dict[str, list[str]] = {}
        self._context: dict[str, Any] = {}
        self.buffers = _buffers(info)
        try:
            for name, path in engines.items():
                runner = TrtRunner(EngineFromPath(str(path)), name=name)
                runner.activate()
                self._runners[name] = runner
                self._inputs[name] = list(runner.get_input_metadata())
        except Exception:
            self.close()
            raise

    def run(self, graph: str) -> None:
        feeds = {n: self.buffers[n] if n in self.buffers else self._context[n] for n in self._inputs[graph]}
        if graph == PREFIX:
            self._context = self._runners[graph].infer(feeds, copy_outputs_to_host=False, check_inputs=False)
            return
        for name, array in self._runners[graph].infer(feeds, check_inputs=False).items():
            np.copyto(self.buffers[name], array)

    def close(self) -> None:
        for runner in self._runners.values():
            runner.deactivate()
        self._runners.clear()


def _buffers(info: ExportInfo) -> dict[str, np.ndarray]:
    """Host buffers by the names of graph inputs and outputs."""
    chunk = (1, info.chunk, info.width)
    buffers: dict[str, np.ndarray] = {
        camera: host_array((1, *size, 3), np.uint8, "cuda") for camera, size in info.cameras.items()
    }
    if not info.state_in_words:
        buffers[STATE] = host_array((1, info.joints), np.float32, "cuda")
    if info.tokens:
        buffers[TOKENS] = host_array((1, info.tokens), np.int64, "cuda")
        buffers[MASK] = host_array((1, info.tokens), np.bool_, "cuda")
    if info.flow is None:
        return {**buffers, CHUNK: host_array(chunk, np.float32, "cuda")}
    moments = {TIME: host_array(chunk[:2], np.float32, "cuda")}
    return {
        **buffers,
        **moments,
        NOISY: host_array(chunk, np.float32, "cuda"),
        VELOCITY: host_array(chunk, np.float32, "cuda"),
    }


def open_engines(bundle: Path, info: ExportInfo) -> Engines:
    """The engines of a bundle for this machine. Raises EmmaError if there are none that may be used."""
    return Engines(usable_engines(bundle, info, require_tensorrt()), info)


def compile_bundle(bundle: Bundle, precision: str, cases: Sequence[Case], progress: Any) -> dict[str, Path]:
    """Build what is missing, compare with the float32 graphs on `cases`, and record the engines if they agree."""
    platform = require_tensorrt()
    path = Path(bundle.path)
    info = usable_export(path)
    keys = {n: EngineKey(graph=files, platform=platform, precision=precision) for n, files in info.graphs.items()}
    engines = {}
    for name, key in keys.items():
        engines[name], built = ensure_engine(path, name, key, build_engine)
        progress(f"{name} {'built' if built else 'kept'}")
    accept(path, keys, _check(bundle, info, engines, cases))
    progress("checked")
    return engines


def _check(bundle: Bundle, info: ExportInfo, engines: dict[str, Path], cases: Sequence[Case]) -> float:
    from emma.policy.runtime.onnx_graphs import open_graphs

    reference = Recorded(open_graphs(Path(bundle.path), info, device="cpu", threads=1))
    candidate = Recorded(Engines(engines, info))

    def outputs(recorded: Recorded) -> Any:
        runtime = GraphRuntime(bundle, info, recorded, name="compared")

        def of(case: Case) -> list[np.ndarray]:
            runtime.reset(0)
            recorded.velocities.clear()
            chunk = runtime.infer(*case)
            return [*recorded.velocities, chunk]

        return of

    try:
        return worst_cosine(cases, outputs(reference), outputs(candidate))
    finally:
        reference.close()
        candidate.close()
