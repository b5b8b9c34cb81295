"""The main job, measured: the shipped policy through the ROS graph."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from emma.errors import EmmaError
from emma.resources import data_dir

HELP = "success, instruction following and timing of the shipped policy through the ROS graph"
BUNDLE = "desk_arm_source"
EPISODES, QUICK_EPISODES = 100, 4


def run(quick: bool, seed: int) -> dict[str, Any]:
    """Evaluate the shipped bundle with `emma eval --ros`, as anyone can."""
    with tempfile.TemporaryDirectory(prefix="emma-bench-") as scratch:
        file = Path(scratch) / "loop.json"
        command = [sys.executable, "-m", "emma.cli", "eval", str(data_dir("models") / BUNDLE), "--ros"]
        command += ["--episodes", str(QUICK_EPISODES if quick else EPISODES), "--seed", str(seed)]
        done = subprocess.run([*command, "--json", str(file), "--out", f"{scratch}/bags"], check=False)
        if done.returncode != 0 or not file.is_file():
            raise EmmaError(
                "the closed loop through the ROS graph did not finish",
                found=f"exit code {done.returncode} from `emma eval --ros`",
                expected="0",
                fix="run `emma doctor`, then the command above by hand",
            )
        result = json.loads(file.read_text())
    figures: dict[str, Any] = result["figures"]
    figures["per_episode"] = [
        {key: row[key] for key in ("seed", "target", "placed_on", "success")}
        for row in next(iter(result["results"].values()))["episodes"]
    ]
    return figures
