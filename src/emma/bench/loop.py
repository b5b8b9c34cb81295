"""The main job, measured: the shipped policy through the ROS graph."""

import json
import tempfile
from pathlib import Path
from typing import Any

from emma.bench.verbs import emma
from emma.resources import data_dir

HELP = "success, instruction following and timing of the shipped policy through the ROS graph"
BUNDLE = "desk_arm_source"
EPISODES, QUICK_EPISODES = 100, 4


def run(quick: bool, seed: int) -> dict[str, Any]:
    """Evaluate the shipped bundle with `emma eval --ros`, as anyone can. Timings in ms, from the policy node."""
    return through_ros(QUICK_EPISODES if quick else EPISODES, seed)


def through_ros(episodes: int, seed: int, bundle: str = "") -> dict[str, Any]:
    """Figures of `emma eval --ros` on a bundle (default: the shipped one), and `per_episode` rows."""
    with tempfile.TemporaryDirectory(prefix="emma-bench-") as scratch:
        file = Path(scratch) / "loop.json"
        bundle = bundle or str(data_dir("models") / BUNDLE)
        arguments = ["eval", bundle, "--ros", "--episodes", str(episodes), "--seed", str(seed)]
        emma(*arguments, "--json", str(file), "--out", f"{scratch}/run")
        result = json.loads(file.read_text())
    figures: dict[str, Any] = result["figures"]
    kept = ("seed", "target", "instruction", "placed_on", "success", "seconds", "messages", "lost")
    rows = next(iter(result["results"].values()))["episodes"]
    figures["lost_messages"] = sum(row["lost"] for row in rows)
    figures["per_episode"] = [{key: row[key] for key in kept} for row in rows]
    return figures
