"""The graphs that `emma export` would write, run by torch.compile instead: no files, a compilation at every start."""

from typing import Any

import numpy as np

from emma.policy.bundle import Bundle
from emma.policy.export.bundle_export import describe, policy_graphs
from emma.policy.exported import ExportInfo
from emma.policy.loading import load_policy


class TorchGraphs:
    """Graphs as compiled modules. On CUDA each is one CUDA graph; the first run of each compiles it.

    Use `open_torch_graphs`, which also describes them.
    """

    def __init__(self, made: Any, device: str, threads: int, *, mode: str | None = None) -> None:
        """mode: of torch.compile, or "eager" for none; by default the fastest."""
        import torch

        torch.set_num_threads(threads)
        self._torch, self._device = torch, device
        self._graphs = made.graphs
        mode = mode or ("default" if device == "cpu" else "reduce-overhead")
        modules = {name: graph.module.to(device).eval() for name, graph in made.graphs.items()}
        self._modules = (
            modules
            if mode == "eager"
            else {name: torch.compile(module, mode=mode, dynamic=False) for name, module in modules.items()}
        )
        self.buffers: dict[str, np.ndarray] = {}
        self._tensors: dict[str, Any] = {}
        outputs = {name for graph in made.graphs.values() for name in graph.outputs}
        for graph in made.graphs.values():
            for name, example in graph.inputs.items():
                if name not in outputs:
                    self.buffers[name] = example.clone().numpy()
        with made.patches():
            for name in made.graphs:
                self.run(name)

    def run(self, graph: str) -> None:
        torch, wanted = self._torch, self._graphs[graph]
        inputs = [
            torch.from_numpy(self.buffers[name]).to(self._device) if name in self.buffers else self._tensors[name]
            for name in wanted.inputs
        ]
        with torch.inference_mode():
            made = self._modules[graph](*inputs)
        for name, tensor in zip(wanted.outputs, made if isinstance(made, tuple) else (made,), strict=True):
            # A CUDA graph writes into the same memory at its next run.
            self._tensors[name] = tensor if self._device == "cpu" else tensor.clone()
        for name in wanted.outputs:
            if not any(name in other.inputs for other in self._graphs.values()):
                array = self._tensors[name].cpu().numpy()
                np.copyto(self.buffers.setdefault(name, np.zeros_like(array)), array)

    def close(self) -> None:
        self._modules.clear()
        self._tensors.clear()


def open_torch_graphs(bundle: Bundle, *, device: str, threads: int) -> tuple[ExportInfo, TorchGraphs]:
    """Load a bundle, compile its graphs and run each once. Raises EmmaError for a policy that has none."""
    loaded = load_policy(bundle, device="cpu")
    made = policy_graphs(loaded)
    return describe(loaded, made), TorchGraphs(made, device, threads)
