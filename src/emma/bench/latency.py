"""How long one action chunk takes, in every runtime of this machine, side by side."""

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emma.episodes.dataset import DatasetWriter
from emma.observation import Observation
from emma.policy.bundle import Bundle, load_bundle
from emma.policy.export.bundle_export import export_bundle
from emma.policy.export.parity import Case
from emma.policy.loading import load_policy
from emma.policy.runtime import open_runtime
from emma.policy.runtime.rtc import Previous
from emma.resources import data_dir
from emma.robot import load_robot
from emma.sim.demonstrations import Demonstration, demonstrations
from emma.training.config import TrainConfig
from emma.training.loop import train

HELP = "one chunk on one thread: LeRobot eager, torch.compile and ONNX Runtime; RTC; parity. SmolVLA small, shipped"
SHIPPED = "desk_arm_source"
CAMERAS = ("top", "wrist")
PAIRS, QUICK_PAIRS = 200, 40
DELAY = 3


def run(quick: bool, seed: int) -> dict[str, Any]:
    """Medians of interleaved calls in one process: what slows one, slows all. Weights of the SmolVLA are random."""
    torch.set_num_threads(1)
    pairs = QUICK_PAIRS if quick else PAIRS
    with tempfile.TemporaryDirectory(prefix="emma-bench-") as scratch:
        episode = next(iter(demonstrations(1, seed=seed, cameras=CAMERAS, depth=False)))
        data = Path(scratch) / "data"
        with DatasetWriter(data, load_robot("desk_arm"), cameras=CAMERAS, depth=False) as writer:
            writer.add_episode(zip(episode.observations, episode.action, strict=True), episode.instruction)
        smolvla = _fresh("smolvla_small", data, Path(scratch), seed)
        figures = {"threads": 1, "pairs": pairs, **_smolvla(smolvla, episode, pairs)}
        shipped = data_dir("models") / SHIPPED
        bundle = (
            _linked(shipped, Path(scratch)) if shipped.is_dir() else _fresh("spatial_flow", data, Path(scratch), seed)
        )
        figures |= _shipped(bundle, episode, pairs)
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


def _smolvla(bundle: Bundle, episode: Demonstration, pairs: int) -> dict[str, Any]:
    error = _export(bundle, episode)
    observation, instruction = episode.observations[0], episode.instruction
    loaded = load_policy(bundle)
    batch = loaded.pre(_batch(observation, instruction))
    graphs, compiled = (open_runtime(bundle, kind=kind) for kind in ("onnxruntime", "torch-compile"))
    previous = Previous(actions=np.asarray(episode.action[: loaded.config.chunk_size], np.float32), delay=DELAY)
    times = paired(
        {
            # LeRobot's is the policy alone, without its processors; ours go from pixels to joint targets.
            "lerobot_eager": lambda: loaded.policy.predict_action_chunk(dict(batch)),
            "torch_compile": lambda: compiled.infer(observation, instruction),
            "onnxruntime": lambda: graphs.infer(observation, instruction),
            "onnxruntime_rtc": lambda: graphs.infer(observation, instruction, previous),  # type: ignore[call-arg]
        },
        pairs,
    )
    median = {name: statistics.median(values) for name, values in times.items()}
    added = [b - a for a, b in zip(times["onnxruntime"], times["onnxruntime_rtc"], strict=True)]
    return {
        "speedup_vs_lerobot_eager": median["lerobot_eager"] / median["onnxruntime"],
        "speedup_vs_compile": median["torch_compile"] / median["onnxruntime"],
        "rtc_overhead": statistics.median(added) / median["onnxruntime"],
        "smolvla_max_abs_error": error,
        **_percentiles("smolvla", times),
    }


def _shipped(bundle: Bundle, episode: Demonstration, pairs: int) -> dict[str, Any]:
    error = _export(bundle, episode)
    observation, instruction = episode.observations[0], episode.instruction
    runtimes = {kind: open_runtime(bundle, kind=kind) for kind in ("torch", "onnxruntime")}
    calls = {k: lambda r=r: r.infer(observation, instruction) for k, r in runtimes.items()}
    times = paired(calls, pairs)
    return {
        "shipped_bundle": bundle.path.name,
        "shipped_speedup": statistics.median(times["torch"]) / statistics.median(times["onnxruntime"]),
        "shipped_max_abs_error": error,
        **_percentiles("shipped", times),
    }


def _percentiles(prefix: str, times: Mapping[str, list[float]]) -> dict[str, float]:
    return {
        f"{prefix}_{name}_p{p}_ms": float(np.percentile(values, p)) for name, values in times.items() for p in (50, 99)
    }


def _export(bundle: Bundle, episode: Demonstration) -> float:
    seen = episode.observations[:: max(1, len(episode.observations) // 8)]
    info = export_bundle(bundle, [Case(o, episode.instruction) for o in seen], reference="simulator")
    assert info.parity is not None
    return info.parity.max_abs_error


def _batch(observation: Observation, instruction: str) -> dict[str, Any]:
    images = {
        f"observation.images.{name}": torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255.0
        for name, image in observation.images.items()
    }
    return {**images, "observation.state": torch.from_numpy(np.array(observation.state)), "task": instruction}


def _fresh(policy: str, data: Path, scratch: Path, seed: int) -> Bundle:
    """A bundle with next to no training: latency does not depend on the weights."""
    config = TrainConfig(data=(str(data),), policy=policy, steps=1, batch_size=4, log_every=1, seed=seed)
    return load_bundle(train(config, scratch / policy))


def _linked(shipped: Path, scratch: Path) -> Bundle:
    """The shipped bundle's files in a folder of their own, so that measuring changes nothing in the checkout."""
    folder = scratch / shipped.name
    folder.mkdir()
    for file in shipped.iterdir():
        if file.is_file():
            (folder / file.name).symlink_to(file.resolve())
    return load_bundle(folder)
