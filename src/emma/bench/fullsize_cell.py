"""`python -m emma.bench.fullsize_cell JSON OUT`: one policy of one size, in a process whose memory ends with it."""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from emma.bench.random_vla import FULL, Size, configuration, random_cases, reduced, sizes, write_random
from emma.files import atomic_write_text
from emma.policy.loading import BACKBONE

SEED = 0
# Float32 weights of the policy that is loaded, of the one it is compared with, of the graphs and of their sessions.
COPIES = 3.5
BASE_GIB = 2.0


@dataclass(frozen=True, kw_only=True)
class CellConfig:
    """layers: in every part, None for the real number; dtype float32, or bfloat16 to write the graphs alone (no
    processor of ONNX Runtime computes in it); repetitions: of every latency."""

    kind: str
    cameras: int
    layers: int | None = None
    dtype: str = "float32"
    device: str = "cpu"
    repetitions: int = 3

    @property
    def name(self) -> str:
        parts = [self.kind, f"{self.cameras}cam", f"{self.layers}layers" if self.layers else "full"]
        return "-".join([*parts, self.dtype, self.device])

    @property
    def size(self) -> Size:
        return FULL[self.kind] if self.layers is None else reduced(FULL[self.kind], self.layers)

    def needs_gib(self, parameters: int) -> float:
        """Memory that the cell takes at its peak."""
        if self.dtype == "bfloat16":
            # Built in float32, one module after the other, then narrowed; the exporter copies what it folds.
            return BASE_GIB + parameters * 4.0 * 1.3 / 2**30
        return BASE_GIB + COPIES * parameters * 4.0 / 2**30


def run(config: CellConfig) -> dict[str, Any]:
    """Graph sizes in bytes, seconds of the export, parity, latencies in ms."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="emma-fullsize-"))) / "bundle"
        stack.enter_context(sizes(config.kind, config.size, folder / BACKBONE))
        return _graphs_alone(config, folder) if config.dtype == "bfloat16" else _whole(config, folder)


def _whole(config: CellConfig, folder: Path) -> dict[str, Any]:
    from emma.policy.export.bundle_export import export_bundle

    bundle = write_random(config.kind, config.size, folder, cameras=config.cameras, seed=SEED)
    cases = random_cases(config.size, config.cameras, 2, SEED)
    start = time.monotonic()
    info = export_bundle(bundle, cases, reference="noise")
    seconds = time.monotonic() - start
    assert info.parity is not None
    return {
        **asdict(config),
        "graph_bytes": _sizes(folder / "export"),
        "export_s": seconds,
        "parity_max_abs_error": info.parity.max_abs_error,
        **(_processor if config.device == "cpu" else _gpu)(config, bundle, cases[0]),
    }


def _processor(config: CellConfig, bundle: Any, case: Any) -> dict[str, Any]:
    from emma.policy.runtime import open_runtime

    latencies: dict[str, float] = {}
    for kind in ("onnxruntime", "torch"):
        runtime = open_runtime(bundle, kind=kind, threads=1)
        latencies |= _latency(kind, partial(runtime.infer, *case), config.repetitions)
        runtime.close()
    return latencies


def _gpu(config: CellConfig, bundle: Any, case: Any) -> dict[str, Any]:
    """Chunks from host memory to host memory, which waits for the GPU in every flow step."""
    import torch

    from emma.policy.export.bundle_export import describe, policy_graphs
    from emma.policy.loading import load_policy
    from emma.policy.runtime import open_runtime
    from emma.policy.runtime.graph_runtime import GraphRuntime
    from emma.policy.runtime.torch_graphs import TorchGraphs

    latencies: dict[str, float] = {}
    for name, mode in (("eager", "eager"), ("compile", "default"), ("cuda_graph", "reduce-overhead")):
        loaded = load_policy(bundle)
        made = policy_graphs(loaded)
        runtime = GraphRuntime(bundle, describe(loaded, made), TorchGraphs(made, "cuda", 1, mode=mode), name=name)
        latencies |= _latency(name, partial(runtime.infer, *case), config.repetitions)
        runtime.close()
        del loaded, made, runtime
        torch.cuda.empty_cache()
    ours = open_runtime(bundle, kind="onnxruntime", device="cuda")
    latencies |= _latency("onnxruntime_cuda", partial(ours.infer, *case), config.repetitions)
    ours.close()
    theirs = open_runtime(bundle, kind="torch", device="cuda")
    return latencies | _latency("lerobot_eager", partial(theirs.infer, *case), config.repetitions)


def _latency(name: str, call: Callable[[], Any], repetitions: int) -> dict[str, float]:
    times = []
    for _ in range(repetitions + 1):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3)
    measured = times[1:]  # the first warms up
    percentiles = {f"{name}_p{p}_ms": float(np.percentile(measured, p)) for p in (50, 95, 99)}
    return percentiles if repetitions >= 20 else {f"{name}_p50_ms": statistics.median(measured)}


def _graphs_alone(config: CellConfig, folder: Path) -> dict[str, Any]:
    import torch
    from lerobot.policies.factory import get_policy_class, make_pre_post_processors

    from emma.policy.export.bundle_export import policy_graphs
    from emma.policy.export.write import write_graph
    from emma.policy.loading import LoadedPolicy

    folder.mkdir(parents=True)
    settings = configuration(config.kind, config.size, folder, config.cameras, config.dtype)
    torch.manual_seed(SEED)
    policy = get_policy_class(config.kind)(settings).eval()
    start = time.monotonic()
    made = policy_graphs(LoadedPolicy(settings, policy, *make_pre_post_processors(settings)))
    with made.patches():
        for name, graph in made.graphs.items():
            write_graph(name, graph, folder)
    return {**asdict(config), "graph_bytes": _sizes(folder), "export_s": time.monotonic() - start}


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of each graph with the weights beside it."""
    graphs = [path.stem for path in folder.glob("*.onnx")]
    return {name: sum(f.stat().st_size for f in folder.glob(f"{name}.onnx*")) for name in sorted(graphs)}


def main(argv: list[str]) -> int:
    """Run the cell in the first argument and write what it gave to the second."""
    result = run(CellConfig(**json.loads(argv[0])))
    atomic_write_text(Path(argv[1]), json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
