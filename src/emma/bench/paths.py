"""Is the in-process path the ROS path? Frame by frame in lockstep, and success by success in real time."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from emma.bench.loop import BUNDLE, through_ros
from emma.bench.verbs import emma
from emma.policy.bundle import load_bundle
from emma.policy.runtime import open_runtime
from emma.resources import data_dir
from emma.robots.spec import load_robot
from emma.sim.arm import DeskArm
from emma.sim.demonstrations import demonstrations
from emma.sim.evaluate import EvalConfig, evaluate

HELP = "the ROS path against the in-process path: frames of one demonstration, success on the same seeds"
EPISODES, QUICK_EPISODES = 20, 3
# A demonstration's seed; the policy's episodes start at the bench's own.
DEMO_SEED = 7


def run(quick: bool, seed: int) -> dict[str, Any]:
    """`frames_*`: a scripted demonstration recorded through the graph and converted, against the same seed in process.
    `success_*`: the shipped policy on the same seeds, through the graph in real time and in process."""
    figures = frames()
    ros = through_ros(QUICK_EPISODES if quick else EPISODES, seed)
    bundle = load_bundle(data_dir("models") / BUNDLE)
    runtime = open_runtime(bundle)
    with DeskArm(load_robot(bundle.info.robot), cameras=bundle.info.cameras) as sim:
        config = EvalConfig(episodes=ros["episodes"], seed=seed)
        result = evaluate(sim, runtime, bundle.info.fps, config)
    runtime.close()
    same = [row["success"] == episode.success for row, episode in zip(ros["per_episode"], result.episodes, strict=True)]
    figures |= {
        "episodes": ros["episodes"],
        "success_ros": ros["success"],
        "success_ros_interval": ros["success_interval"],
        "success_in_process": result.success.value,
        "success_in_process_interval": result.success.interval,
        "episodes_with_the_same_outcome": sum(same) / len(same),
    }
    return figures


def frames() -> dict[str, Any]:
    """Record one demonstration through the graph in lockstep, convert the bag, compare with the in-process one."""
    with tempfile.TemporaryDirectory(prefix="emma-bench-") as scratch:
        bags, data = f"{scratch}/run", Path(scratch) / "data"
        record = ["record", "--episodes", "1", "--operator", "scripted", "--lockstep", "--seed", str(DEMO_SEED)]
        emma(*record, "--out", bags)
        emma("episodes", "convert", bags, "--out", str(data))
        recorded = LeRobotDataset("local/paths", root=data)
        there = next(iter(demonstrations(1, seed=DEMO_SEED, noise=0.0)))
        pairs = min(len(recorded), len(there.observations))
        different, pixels = 0, 0
        state_error = action_error = 0.0
        for i in range(pairs):
            item, observation = recorded[i], there.observations[i]
            for camera, image in observation.images.items():
                got = np.rint(item[f"observation.images.{camera}"].numpy() * 255).astype(np.uint8).transpose(1, 2, 0)
                different += int((got != image).any(-1).sum())
                pixels += image.shape[0] * image.shape[1]
            state_error = max(state_error, float(np.abs(item["observation.state"].numpy() - observation.state).max()))
            action_error = max(action_error, float(np.abs(item["action"].numpy() - there.action[i]).max()))
    return {
        "frames_recorded": len(recorded),
        "frames_in_process": len(there.observations),
        "frames_compared": pairs,
        "pixels_compared": pixels,
        "pixels_different": different,
        "state_max_difference": state_error,
        "action_max_difference": action_error,
    }
