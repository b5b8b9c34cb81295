"""Control beside everything else a robot's computer does, on two cores: ticks, lateness, camera stamp to command."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from emma.bench.loop import BUNDLE
from emma.environment import cleaned
from emma.errors import EmmaError
from emma.files import atomic_write_text
from emma.resources import data_dir
from emma.robots.spec import load_robot

HELP = "control at 50 Hz beside sim, three cameras at 30 Hz and recorder on two cores, against a plain rclpy timer"
SECONDS, QUICK_SECONDS = 300.0, 6.0
CAMERA_HZ, CORES = 30.0, 2
# Our node as it ships has no prefix; then with inference in a thread of the node; then a plain timer.
PREFIXES = {"process": "", "thread": "thread_", "plain": "plain_"}
QUICK_VARIANTS = ("process", "plain")
# Of the node's timings, under the names of this bench.
NAMES = {
    "ticks": "ticks",
    "missed_ticks": "missed_ticks",
    "tick_lateness_p50_ms": "lateness_p50_ms",
    "tick_lateness_p99_ms": "lateness_p99_ms",
    "tick_lateness_max_ms": "lateness_max_ms",
    "stamp_to_command_p50_ms": "stamp_to_command_p50_ms",
    "stamp_to_command_p99_ms": "stamp_to_command_p99_ms",
    "inference_p50_ms": "inference_p50_ms",
    "command_gap_max_ms": "command_gap_max_ms",
    "camera_hz": "camera_hz",
    "recorder_lost": "recorder_lost",
    "swap_s": "swap_s",
    "swap_ticks": "swap_ticks",
    "swap_missed_ticks": "swap_missed_ticks",
}


def run(quick: bool, seed: int) -> dict[str, Any]:
    """`*`: the policy node, inference in a process of its own; `thread_*`: in a thread of the node; `plain_*`: a node
    whose timer does inference in its callback. `command_gap_max_ms`, `camera_hz`: from the recorded bag.
    `swap_*`: the policy is loaded a second time while the arm moves, after what the other figures are of."""
    busy = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="emma-bench-") as scratch, _cores(CORES) as cores:
        found = _measured(Path(scratch), quick, seed)
    figures: dict[str, Any] = {"seconds": QUICK_SECONDS if quick else SECONDS, "cores": cores}
    for variant, values in found.items():
        # A count of nothing is not kept by the node.
        values = {"missed_ticks": 0, **values}
        figures |= {PREFIXES[variant] + name: values[key] for key, name in NAMES.items() if key in values}
    figures["real_time_priority"] = bool(found["process"].get("real_time_priority"))
    return figures | {"load_average_before": busy}


def robot_with_camera_rate(folder: Path, rate_hz: float) -> Path:
    """The embedded robot with all cameras at `rate_hz`, as `<folder>/robot.yaml`."""
    source = load_robot("desk_arm").folder / "robot.yaml"
    values = yaml.safe_load(source.read_text())
    values["cameras"] = [camera | {"rate_hz": rate_hz} for camera in values["cameras"]]
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write_text(folder / "robot.yaml", yaml.safe_dump(values, sort_keys=False))
    return folder / "robot.yaml"


def _measured(folder: Path, quick: bool, seed: int) -> dict[str, dict[str, Any]]:
    """The nodes' part, in a process of its own: benches import no ROS."""
    file = folder / "control.json"
    options = ["--out", folder, "--json", file, "--robot", robot_with_camera_rate(folder / "robot", CAMERA_HZ)]
    options += ["--policy", data_dir("models") / BUNDLE, "--seed", seed]
    options += ["--seconds", QUICK_SECONDS if quick else SECONDS]
    options += ["--variants", *(QUICK_VARIANTS if quick else PREFIXES)]
    command = [sys.executable, "-m", "emma.ros.load.control", *map(str, options)]
    done = subprocess.run(command, check=False, env=cleaned(os.environ))
    if done.returncode != 0:
        raise EmmaError(
            "control could not be measured",
            found=f"exit code {done.returncode}",
            expected="a ROS graph on this machine",
            fix="see above, then `emma doctor`",
        )
    found: dict[str, dict[str, Any]] = json.loads(file.read_text())
    return found


@contextmanager
def _cores(count: int) -> Iterator[int]:
    """This process and its children on `count` cores, on fewer where there are no more; yields how many."""
    before = os.sched_getaffinity(0)
    chosen = set(sorted(before)[:count])
    os.sched_setaffinity(0, chosen)
    try:
        yield len(chosen)
    finally:
        os.sched_setaffinity(0, before)
