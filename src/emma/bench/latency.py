"""How long one action chunk takes, in every runtime of this machine, side by side."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emma.bench.random_vla import SMALL_SMOLVLA, write_random
from emma.errors import EmmaError
from emma.interrupts import tied
from emma.observation import Observation
from emma.policy.bundle import Bundle, load_bundle
from emma.policy.export.parity import Case, compare, worst
from emma.policy.exported import FOLDER, read_export, usable_export
from emma.policy.loading import load_policy
from emma.policy.runtime import open_runtime
from emma.policy.runtime.onnx_graphs import open_graphs
from emma.policy.runtime.rtc import Previous
from emma.resources import data_dir
from emma.sim.demonstrations import Demonstration, demonstrations

HELP = "one chunk on one thread: LeRobot eager, torch.compile and ONNX Runtime; RTC; parity. SmolVLA small, shipped"
SHIPPED = "desk_arm_source"
CAMERAS = ("top", "wrist")
PAIRS, QUICK_PAIRS = 200, 40
DELAY = 3
# Observations that parity is taken over.
CASES = 8


def run(quick: bool, seed: int) -> dict[str, Any]:
    """Medians of interleaved calls in one process: what slows one, slows all. Weights of the SmolVLA are random.

    torch.compile takes a minute before its first call, so a quick run leaves it out.
    """
    torch.set_num_threads(1)
    pairs = QUICK_PAIRS if quick else PAIRS
    episode = next(iter(demonstrations(1, seed=seed, cameras=CAMERAS, depth=False)))
    with tempfile.TemporaryDirectory(prefix="emma-bench-") as scratch:
        smolvla = write_random("smolvla", SMALL_SMOLVLA, Path(scratch) / "smolvla", cameras=len(CAMERAS), seed=seed)
        figures = {"threads": 1, "pairs": pairs, **_smolvla(smolvla, episode, pairs, compile=not quick)}
    figures |= _shipped(load_bundle(data_dir("models") / SHIPPED), episode, pairs)
    figures["parity_max_abs_error"] = max(figures["smolvla_max_abs_error"], figures["shipped_max_abs_error"])
    return figures


def paired(calls: Mapping[str, Callable[[], Any]], pairs: int) -> dict[str, list[float]]:
    """Milliseconds of every call, in turn, `pairs` times, in another order each time; the first three warm up."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    order = list(calls)
    shuffle = np.random.default_rng(0)
    for i in range(pairs + 3):
        shuffle.shuffle(order)
        for name in order:
            start = time.perf_counter()
            calls[name]()
            if i >= 3:
                times[name].append((time.perf_counter() - start) * 1e3)
    return times


def _smolvla(bundle: Bundle, episode: Demonstration, pairs: int, *, compile: bool) -> dict[str, Any]:
    observation, instruction = episode.observations[0], episode.instruction
    # Both take long and neither is timed: `emma export` with its parity gate on one core, torch.compile on the other.
    command = [sys.executable, "-m", "emma.cli", "export", str(bundle.path), "--observations", str(CASES)]
    exporting = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=tied(os.environ)
    )
    try:
        compiled = open_runtime(bundle, kind="torch-compile") if compile else None
        _, problem = exporting.communicate()
    finally:
        exporting.kill()
    if exporting.returncode:
        raise EmmaError("`emma export` failed", found=problem.strip()[-800:], expected="graphs that pass parity")
    info = read_export(bundle.path / FOLDER)
    assert info.parity is not None
    loaded = load_policy(bundle)
    batch = loaded.pre(_batch(observation, instruction))
    graphs = open_runtime(bundle, kind="onnxruntime")
    previous = Previous(actions=np.asarray(episode.action[: loaded.config.chunk_size], np.float32), delay=DELAY)
    calls: dict[str, Callable[[], Any]] = {
        # LeRobot's is the policy alone, without its processors; ours go from pixels to joint targets.
        "lerobot_eager": lambda: loaded.policy.predict_action_chunk(dict(batch)),
        "onnxruntime": lambda: graphs.infer(observation, instruction),
        "onnxruntime_rtc": lambda: graphs.infer(observation, instruction, previous),
    }
    if compiled is not None:
        calls["torch_compile"] = lambda: compiled.infer(observation, instruction)
    times = paired(calls, pairs)
    median = {name: statistics.median(values) for name, values in times.items()}
    added = [b - a for a, b in zip(times["onnxruntime"], times["onnxruntime_rtc"], strict=True)]
    return {
        "speedup_vs_lerobot_eager": median["lerobot_eager"] / median["onnxruntime"],
        **({"speedup_vs_compile": median["torch_compile"] / median["onnxruntime"]} if compiled is not None else {}),
        "rtc_overhead": statistics.median(added) / median["onnxruntime"],
        "smolvla_max_abs_error": info.parity.max_abs_error,
        **_percentiles("smolvla", times),
    }


def _shipped(bundle: Bundle, episode: Demonstration, pairs: int) -> dict[str, Any]:
    observation, instruction = episode.observations[0], episode.instruction
    # The graphs that ship, compared again, here.
    info = usable_export(bundle.path)
    seen = episode.observations[:: max(1, len(episode.observations) // CASES)]
    graphs = open_graphs(bundle.path, info, device="cpu", threads=1)
    differences = compare(bundle, info, graphs, [Case(o, instruction) for o in seen], lambda: None)
    graphs.close()
    runtimes = {kind: open_runtime(bundle, kind=kind) for kind in ("torch", "onnxruntime")}
    calls = {k: lambda r=r: r.infer(observation, instruction) for k, r in runtimes.items()}
    times = paired(calls, pairs)
    return {
        "shipped_bundle": bundle.path.name,
        "shipped_speedup": statistics.median(times["torch"]) / statistics.median(times["onnxruntime"]),
        "shipped_max_abs_error": worst(differences).error,
        **_percentiles("shipped", times),
    }


def _percentiles(prefix: str, times: Mapping[str, list[float]]) -> dict[str, float]:
    return {
        f"{prefix}_{name}_p{p}_ms": float(np.percentile(values, p)) for name, values in times.items() for p in (50, 99)
    }


def _batch(observation: Observation, instruction: str) -> dict[str, Any]:
    images = {
        f"observation.images.{name}": torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255.0
        for name, image in observation.images.items()
    }
    return {**images, "observation.state": torch.from_numpy(np.array(observation.state)), "task": instruction}
