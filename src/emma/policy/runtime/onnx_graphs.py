"""Graphs in ONNX Runtime, bound to fixed memory: CPU, CUDA and TensorRT execution providers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emma.errors import EmmaError
from emma.policy.exported import FOLDER, ExportInfo
from emma.policy.runtime.graph_runtime import POLICY, PREFIX, STEP
from emma.policy.runtime.host import host_array

TYPES = {
    "tensor(float)": np.float32,
    "tensor(uint8)": np.uint8,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}
# Best first. Those that are not built into the installed onnxruntime are left out.
PROVIDERS = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
}


def providers_for(device: str) -> tuple[str, ...]:
    """Execution providers for cpu, cuda or tensorrt. Raises EmmaError if this onnxruntime lacks the first of them."""
    import onnxruntime

    wanted, present = PROVIDERS.get(device), onnxruntime.get_available_providers()
    if wanted is None or wanted[0] not in present:
        raise EmmaError(
            f"onnxruntime cannot use '{device}' here",
            found=f"providers {', '.join(present)}",
            expected=wanted[0] if wanted else f"one of {', '.join(PROVIDERS)}",
            fix="GPU=1 make setup" if wanted else None,
        )
    if device != "cpu" and hasattr(onnxruntime, "preload_dlls"):
        # The CUDA libraries are those of torch's wheels, which no search path names.
        onnxruntime.preload_dlls()
    return tuple(name for name in wanted if name in present)


class OnnxGraphs:
    """The graphs of one export, each a session with an IO binding made once.

    On CPU the sessions read and write the host buffers themselves. On a GPU what passes from prefix to step stays on
    the device; the small inputs and outputs are copied.
    """

    def __init__(self, folder: Path, info: ExportInfo, *, device: str = "cpu", threads: int = 1) -> None:
        import onnxruntime

        self._ort = onnxruntime
        self._providers = providers_for(device)
        self._device = "cpu" if device == "cpu" else "cuda"
        self.buffers: dict[str, np.ndarray] = {}
        self._values: dict[str, Any] = {}
        self._runs: dict[str, Any] = {}
        self._inputs: dict[str, list[str]] = {}
        self._outputs: dict[str, list[str]] = {}
        names = (POLICY,) if info.flow is None else (PREFIX, STEP)
        sessions = {name: self._session(folder / f"{name}.onnx", threads) for name in names}
        inner = self._inner(sessions)
        for name, session in sessions.items():
            self._bind(name, session, inner)

    def run(self, graph: str) -> None:
        session, binding = self._runs[graph]
        for name in self._inputs[graph]:
            self._values[name].update_inplace(self.buffers[name])
        session.run_with_iobinding(binding)
        for name in self._outputs[graph]:
            np.copyto(self.buffers[name], self._values[name].numpy())

    def close(self) -> None:
        self._runs.clear()
        self._values.clear()

    def _session(self, path: Path, threads: int) -> Any:
        options = self._ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # A spinning pool would take the core that the control loop runs on.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            session = self._ort.InferenceSession(str(path), options, providers=list(self._providers))
        except Exception as error:  # onnxruntime raises its own kinds, without a common base
            raise EmmaError(
                f"onnxruntime cannot load {path}",
                found=f"{type(error).__name__}: {str(error)[:400]}",
                expected="a graph that `emma export` wrote",
                fix=f"run `emma export {path.parent.parent}` again",
            ) from error
        if session.get_providers()[0] != self._providers[0]:
            # A provider whose libraries are missing is passed over without an error.
            raise EmmaError(
                f"onnxruntime cannot use {self._providers[0]} here",
                found=f"it fell back on {session.get_providers()[0]}",
                expected="its CUDA, cuDNN or TensorRT libraries",
                fix="see `emma doctor`",
            )
        return session

    @staticmethod
    def _inner(sessions: dict[str, Any]) -> set[str]:
        """What passes from one graph to the next."""
        made = {value.name for session in sessions.values() for value in session.get_outputs()}
        read = {value.name for session in sessions.values() for value in session.get_inputs()}
        return made & read

    def _bind(self, graph: str, session: Any, inner: set[str]) -> None:
        binding = session.io_binding()
        self._inputs[graph], self._outputs[graph] = [], []
        for values, bind, copied in (
            (session.get_inputs(), binding.bind_ortvalue_input, self._inputs[graph]),
            (session.get_outputs(), binding.bind_ortvalue_output, self._outputs[graph]),
        ):
            for value in values:
                self._allocate(value, inner)
                bind(value.name, self._values[value.name])
                if self._device != "cpu" and value.name not in inner:
                    copied.append(value.name)
        self._runs[graph] = (session, binding)

    def _allocate(self, value: Any, inner: set[str]) -> None:
        if value.name in self._values:
            return
        dtype = TYPES[value.type]
        if self._device != "cpu":
            self._values[value.name] = self._ort.OrtValue.ortvalue_from_shape_and_type(
                value.shape, dtype, self._device, 0
            )
        if self._device == "cpu" or value.name not in inner:
            buffer = host_array(tuple(value.shape), dtype, self._device)
            self.buffers[value.name] = buffer
            if self._device == "cpu":
                self._values[value.name] = self._ort.OrtValue.ortvalue_from_numpy(buffer)


def open_graphs(bundle: Path, info: ExportInfo, *, device: str, threads: int) -> OnnxGraphs:
    """The graphs of a bundle's export."""
    return OnnxGraphs(bundle / FOLDER, info, device=device, threads=threads)


def available() -> Sequence[str]:
    """The devices that the installed onnxruntime can use, best first; none without onnxruntime."""
    try:
        import onnxruntime
    except ImportError:
        return ()
    present = onnxruntime.get_available_providers()
    return tuple(device for device in ("tensorrt", "cuda", "cpu") if PROVIDERS[device][0] in present)
