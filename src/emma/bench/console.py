"""The web console beside a robot on two cores: ticks, picture latency, processor time; and how fast a dataset opens."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from emma.bench.control import CORES, Case, cores, recorded_bytes, robot_of, write_policy
from emma.bench.disk import require_room
from emma.environment import cleaned
from emma.errors import EmmaError

HELP = (
    "the web console with one and three pages open, beside three cameras of 640 x 480, recorder and policy on two cores"
)
# 15 000 ticks at 50 Hz for each number of open pages.
SECONDS, QUICK_SECONDS = 300.0, 5.0
EPISODES, QUICK_EPISODES = 500, 100
# The dataset is measured warm, so it lies in memory from the start where that is possible: 500 episodes are written
# with thousands of syncs.
MEMORY, ROOM_BYTES = Path("/dev/shm"), 1 << 30
# Of the part with three open pages, under the names of this bench.
NAMES = {
    "ticks": "ticks",
    "missed_ticks": "missed_ticks",
    "latency_p50_ms": "picture_latency_p50_ms",
    "latency_p95_ms": "picture_latency_p95_ms",
    "tile_hz": "tile_hz",
    "viewer_mb_s": "viewer_mb_s",
    "cores": "console_cores",
    "memory_mb": "memory_mb",
    "memory_growth_mb_h": "memory_growth_mb_h",
}


def run(quick: bool, seed: int) -> dict[str, Any]:
    """Figures without prefix: three pages open; `one_*`: one page; `*_without`: no console at all.

    Pages receive and confirm every stream as a browser does, and draw nothing; they use cores of their own where there
    are more than two. `picture_latency_*`: from the header stamp to the page. `memory_growth_mb_h`: a line through the
    console's memory over the part with three pages, in an hour. `first_picture_s`: median of openings of a dataset of
    500 episodes, warm, from the list of recordings to the first picture of every camera; a quick run opens 100 and
    makes its policy meanwhile.
    """
    busy, seconds = os.getloadavg()[0], QUICK_SECONDS if quick else SECONDS
    with tempfile.TemporaryDirectory(prefix="emma-bench-") as scratch, cores(CORES) as count:
        folder = Path(scratch)
        require_room(folder, recorded_bytes(seconds))
        with tempfile.TemporaryDirectory(prefix="emma-bench-", dir=_memory()) as warm, ThreadPoolExecutor(1) as pool:
            made = ("--episodes", QUICK_EPISODES if quick else EPISODES, "--seed", seed)
            policy = pool.submit(write_policy, folder / "policy", seed)
            if not quick:
                policy.result()
            _say(f"a dataset of {made[1]} episodes is written, then opened")
            review = _found("review", folder, "--folder", warm, "--port", free_port(), *made)
        _say(f"the robot without console, with one page and with three, {seconds:g} s each")
        robot = robot_of(folder / "robot", Case(prefix=""))
        options = ("--out", folder / "run", "--robot", robot, "--policy", policy.result().path)
        robots = _found("console", folder, *options, "--port", free_port(), "--seconds", seconds)
    return {
        "seconds": seconds,
        "cores": count,
        **_figures(robots["3"]),
        **_figures(robots["1"], "one_"),
        "ticks_without": robots["0"]["ticks"],
        "missed_ticks_without": robots["0"]["missed_ticks"],
        "recorder_lost": robots["recorder_lost"],
        **review,
        "load_average_before": busy,
    }


def _figures(found: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    return {prefix + name: found[key] for key, name in NAMES.items() if key in found}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _memory() -> Path | None:
    """A folder in memory with room for the dataset; None where there is none."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES else None


def free_port() -> int:
    """A port of this machine that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _found(part: str, folder: Path, *options: Any) -> dict[str, Any]:
    """What `python -m emma.ros.load.<part>` wrote: benches import neither ROS nor the console."""
    file = folder / f"{part}.json"
    command = [sys.executable, "-m", f"emma.ros.load.{part}", "--json", str(file), *map(str, options)]
    done = subprocess.run(command, check=False, env=cleaned(os.environ))
    if done.returncode != 0:
        raise EmmaError(
            "the console could not be measured",
            found=f"exit code {done.returncode}",
            expected="a ROS graph on this machine",
            fix="see above, then `emma doctor`",
        )
    found: dict[str, Any] = json.loads(file.read_text())
    return found
