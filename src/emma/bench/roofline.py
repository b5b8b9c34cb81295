"""What a chunk costs at least: bytes and floating point operations of a policy's graphs over what this machine can do.

Nothing is computed to count them: the graphs run on fake tensors, so the billions of parameters need no memory.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emma.bench.random_vla import Size, configuration, sizes
from emma.policy.export import smolvla_patches
from emma.policy.export.graphs import PolicyGraphs
from emma.policy.export.smolvla_patches import swapped
from emma.policy.loading import BACKBONE, LoadedPolicy

# Larger than any cache, so that copying it measures memory.
COPY_BYTES = 256 << 20
GEMM = 1024
GPU_GEMM = 8192


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """Measured on this machine. copied bytes are counted once read and once written; threads: of the processor."""

    device: str
    dtype: str
    threads: int
    bytes_per_s: float
    flops: float


@dataclass(frozen=True, kw_only=True)
class Work:
    """Of one chunk. parameters: of the policy; weights: those that a graph reads, by graph; flops: by graph, once;
    memory: values that pass from prefix to step; steps: how often the step runs."""

    parameters: int
    weights: dict[str, int]
    flops: dict[str, int]
    memory: int
    steps: int

    @property
    def flops_per_chunk(self) -> int:
        return self.flops["prefix"] + self.steps * self.flops["step"]

    def bytes_per_chunk(self, width: int) -> int:
        """Every weight once a run, what the prefix gave once a step. width: bytes of one. Without activations."""
        return width * (self.weights["prefix"] + self.steps * (self.weights["step"] + self.memory))

    def seconds(self, ceilings: Ceilings) -> float:
        """The least time of a chunk: whichever ceiling is hit, graph by graph."""
        width = 4 if ceilings.dtype == "float32" else 2
        least = {
            name: max(
                width * (self.weights[name] + (self.memory if name == "step" else 0)) / ceilings.bytes_per_s,
                self.flops[name] / ceilings.flops,
            )
            for name in ("prefix", "step")
        }
        return least["prefix"] + self.steps * least["step"]


def measure(device: str = "cpu", *, threads: int = 1) -> Ceilings:
    """Medians of copies and of matrix products: float32 on a processor, bfloat16 on a GPU."""
    import torch

    torch.set_num_threads(threads)
    dtype, edge = (torch.float32, GEMM) if device == "cpu" else (torch.bfloat16, GPU_GEMM)
    source = torch.ones(COPY_BYTES // 4, device=device)
    target = torch.empty_like(source)
    left, right = torch.randn(2, edge, edge, device=device).to(dtype)
    # Of a copy's bytes half are read and half written; weights are only read, so this ceiling is a cautious one.
    copied = 2 * COPY_BYTES / median_s(lambda: target.copy_(source), device)
    product = 2 * edge**3 / median_s(lambda: torch.matmul(left, right), device)
    name = "float32" if dtype == torch.float32 else "bfloat16"
    return Ceilings(device=device, dtype=name, threads=threads, bytes_per_s=copied, flops=product)


def median_s(call: Callable[[], Any], device: str, repetitions: int = 9) -> float:
    """Seconds of a call, with synchronisation on a GPU; the first two warm up."""
    import statistics

    import torch

    times = []
    for _ in range(repetitions + 2):
        start = time.perf_counter()
        call()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


def count(kind: str, size: Size, folder: Path, cameras: int) -> Work:
    """Parameters, weights that are read and operations of a policy in this size, without building it."""
    import torch
    from lerobot.policies.factory import get_policy_class, make_pre_post_processors
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils.flop_counter import FlopCounterMode

    from emma.policy.export.bundle_export import policy_graphs

    with ExitStack() as stack:
        stack.enter_context(sizes(kind, size, folder / BACKBONE))
        config = configuration(kind, size, folder, cameras)
        processors = make_pre_post_processors(config)
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        stack.enter_context(torch.no_grad())
        # Conversions to the type and device that are there already, which fake tied weights would refuse.
        stack.enter_context(swapped(torch.nn.Module, "_apply", lambda module, *_, **__: module))
        # Its bucketing depends on values, which fake tensors do not have; it is a constant of the graph anyway.
        stack.enter_context(swapped(smolvla_patches, "_positions", _no_positions))
        policy = get_policy_class(kind)(config).eval()
        made: PolicyGraphs = policy_graphs(LoadedPolicy(config, policy, *processors))
        weights, flops = {}, {}
        with made.patches():
            for name, graph in made.graphs.items():
                with FlopCounterMode(display=False) as counter, _Read() as read:
                    read.watch(graph.module)
                    graph.module(*graph.inputs.values())
                weights[name], flops[name] = read.parameters, int(counter.get_total_flops())
        passed = made.graphs["step"].inputs.items()
        given = set(made.graphs["prefix"].outputs)
        assert made.flow is not None
        return Work(
            parameters=sum(p.numel() for p in policy.parameters()),
            weights=weights,
            flops=flops,
            memory=sum(tensor.numel() for name, tensor in passed if name in given),
            steps=made.flow.steps,
        )


def _no_positions(vision: Any) -> Any:
    import torch

    embeddings = vision.embeddings
    return torch.zeros(1, embeddings.num_patches_per_side**2, embeddings.embed_dim)


class _Read:
    """Which parameters a graph reads. Tables are left out: of an embedding only the rows of its words are read."""

    def __init__(self) -> None:
        self.parameters = 0
        self._seen: set[int] = set()
        self._handles: list[Any] = []

    def __enter__(self) -> "_Read":
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def watch(self, module: Any) -> None:
        from torch import nn

        for part in module.modules():
            if not isinstance(part, nn.Embedding):
                self._handles.append(part.register_forward_pre_hook(self._called))

    def _called(self, module: Any, _: Any) -> None:
        for parameter in module.parameters(recurse=False):
            if id(parameter) not in self._seen:
                self._seen.add(id(parameter))
                self.parameters += parameter.numel()


def as_row(work: Work) -> dict[str, Any]:
    """For a JSON file."""
    return {**asdict(work), "flops_per_chunk": work.flops_per_chunk, "bytes_fp32": work.bytes_per_chunk(4)}
