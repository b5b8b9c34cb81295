"""How fast `emma train` goes through samples on this machine."""

import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from emma.bench.verbs import emma
from emma.datasets.writer import DatasetWriter
from emma.robots.spec import load_robot
from emma.sim.demonstrations import demonstrations
from emma.training.loop import LOG, RUN

HELP = "samples per second of `emma train`: spatial_flow in fp32 and bf16, act_small, smolvla_small; one thread"
CAMERAS = ("top", "wrist")
EPISODES = 4
BATCH = 32
RUNS = {
    "spatial_flow": ("spatial_flow", "fp32"),
    "spatial_flow_bf16": ("spatial_flow", "bf16"),
    "act_small": ("act_small", "fp32"),
    "smolvla_small": ("smolvla_small", "fp32"),
}


def run(quick: bool, seed: int) -> dict[str, Any]:
    """Medians over windows of steps, one policy after the other."""
    spec = load_robot()
    windows, every = (3, 2) if quick else (8, 10)
    figures: dict[str, Any] = {"batch_size": BATCH}
    with tempfile.TemporaryDirectory(prefix="emma-bench-") as scratch:
        data = Path(scratch) / "data"
        with DatasetWriter(data, spec, cameras=CAMERAS, depth=False) as writer:
            for episode in demonstrations(EPISODES, seed=seed, cameras=CAMERAS, depth=False):
                writer.add_episode(zip(episode.observations, episode.action, strict=True), episode.instruction)
        for name, (policy, precision) in RUNS.items():
            out = Path(scratch) / name
            # The first window warms up and is left out. A process each: precision is chosen once in a process.
            options = ["--steps", str((windows + 1) * every), "--log-every", str(every), "--batch-size", str(BATCH)]
            emma(
                "train", "--data", str(data), "--out", str(out), "--policy", policy, "--precision", precision, *options
            )
            rows = [json.loads(line)["samples_per_s"] for line in (out / RUN / LOG).read_text().splitlines()]
            figures[f"{name}_samples_per_s"] = statistics.median(rows[1:])
    figures["bf16_speedup"] = figures["spatial_flow_bf16_samples_per_s"] / figures["spatial_flow_samples_per_s"]
    return figures
