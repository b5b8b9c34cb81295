"""Control beside everything else a robot's computer does, on two cores: ticks, lateness, camera stamp to command."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from emma.bench.disk import require_room
from emma.bench.random_vla import CAMERAS, SMALL_SMOLVLA, random_cases, write_random
from emma.environment import cleaned
from emma.errors import EmmaError
from emma.files import atomic_write_text
from emma.interrupts import tied
from emma.policy.bundle import Bundle
from emma.policy.export.bundle_export import export_bundle
from emma.robots.spec import load_robot
from emma.training.small_smolvla import BackboneSize

HELP = "control beside three cameras of 640 x 480, joint states at 500 Hz and the recorder on two cores"
SECONDS, QUICK_SECONDS = 300.0, 15.0
# Large enough for an inference of some ticks on one core, as policies have on a robot's GPU.
POLICY = replace(
    SMALL_SMOLVLA,
    image=256,
    camera=(480, 640),
    smolvlm=BackboneSize(image=256, vision_hidden=192, vision_intermediate=768),
)
CAMERA_HZ, STATE_HZ, WIDTH, HEIGHT, CORES = 30.0, 500.0, 640, 480, 2


@dataclass(frozen=True, kw_only=True)
class Case:
    """prefix: of its figures. variant: how the policy is run, of `emma.ros.load.control`."""

    prefix: str
    variant: str = "process"
    transport: str = "raw"
    control_hz: float = 50.0


CASES = (
    Case(prefix=""),
    Case(prefix="jpeg_", transport="compressed"),
    Case(prefix="hz100_", control_hz=100.0),
    Case(prefix="thread_", variant="thread"),
    Case(prefix="plain_", variant="plain"),
)
QUICK_CASES = tuple(case for case in CASES if case.prefix != "thread_")
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
    "skipped_frames": "skipped_frames",
    "swap_s": "swap_s",
    "swap_ticks": "swap_ticks",
    "swap_missed_ticks": "swap_missed_ticks",
}


def run(quick: bool, seed: int) -> dict[str, Any]:
    """Figures without prefix: raw images, 50 Hz, inference in a process of its own. `jpeg_*`: JPEG images; `hz100_*`:
    100 Hz; `thread_*`: inference in a thread of the node; `plain_*`: a node whose timer does inference in its callback.
    The policy is a SmolVLA with random weights as `emma export` leaves it, in ONNX Runtime.

    `*missed_share`: missed ticks of all. `command_gap_max_ms`, `camera_hz`: from the recorded bag. `swap_*`, first
    case alone: the policy is loaded a second time while the arm moves, after what the other figures are of; in a quick
    run during it.
    `skipped_frames`: images that a newer one replaced before they were decoded.
    """
    busy, seconds = os.getloadavg()[0], QUICK_SECONDS if quick else SECONDS
    figures: dict[str, Any] = {"seconds": seconds}
    with tempfile.TemporaryDirectory(prefix="emma-bench-") as scratch, cores(CORES) as count:
        folder = Path(scratch)
        require_room(folder, recorded_bytes(seconds))
        bundle = write_policy(folder / "policy", seed)
        figures["cores"] = count
        for case in QUICK_CASES if quick else CASES:
            print(f"{case.prefix or 'raw_'}*: {seconds:g} s of commands", file=sys.stderr, flush=True)
            figures |= _figures(case, _measured(folder, case, bundle.path, seconds, "within" if quick else "after"))
    return figures | {"load_average_before": busy}


def recorded_bytes(seconds: float) -> float:
    """Disk that a case takes: raw pictures of all cameras, a tenth for the rest."""
    return 1.1 * len(CAMERAS) * WIDTH * HEIGHT * 3 * CAMERA_HZ * seconds


def write_policy(folder: Path, seed: int) -> Bundle:
    """`POLICY` with random weights for all cameras, exported."""
    bundle = write_random("smolvla", POLICY, folder, cameras=len(CAMERAS), seed=seed)
    export_bundle(bundle, random_cases(POLICY, len(CAMERAS), count=2, seed=seed), reference="random")
    return bundle


def _figures(case: Case, found: dict[str, Any]) -> dict[str, Any]:
    # The node keeps no count of nothing.
    values = {"missed_ticks": 0, **found}
    figures = {case.prefix + name: values[key] for key, name in NAMES.items() if key in values}
    figures[f"{case.prefix}missed_share"] = values["missed_ticks"] / max(values["ticks"] + values["missed_ticks"], 1)
    if not case.prefix:
        figures["real_time_priority"] = bool(found.get("real_time_priority"))
    return figures


def robot_of(folder: Path, case: Case) -> Path:
    """The embedded robot with large cameras and fast joint states, as `<folder>/robot.yaml`."""
    source = load_robot().folder / "robot.yaml"
    values = yaml.safe_load(source.read_text())
    size = {"width": WIDTH, "height": HEIGHT, "rate_hz": CAMERA_HZ, "transport": case.transport}
    colour = ("name", "image_topic", "frame_id")
    cameras = [{key: camera[key] for key in colour if key in camera} | size for camera in values["cameras"]]
    values |= {"cameras": cameras, "state_rate_hz": STATE_HZ, "control_rate_hz": case.control_hz}
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write_text(folder / "robot.yaml", yaml.safe_dump(values, sort_keys=False))
    return folder / "robot.yaml"


def _measured(folder: Path, case: Case, policy: Path, seconds: float, swap: str) -> dict[str, Any]:
    """The nodes' part, in a process of its own: benches import no ROS."""
    out = folder / f"{case.prefix}run"
    file = out / "control.json"
    options = ["--out", out, "--json", file, "--robot", robot_of(out / "robot", case), "--policy", policy]
    options += ["--seconds", seconds, "--variant", case.variant, *([] if case.prefix else ["--swap", swap])]
    command = [sys.executable, "-m", "emma.environment", "emma.ros.load.control", *map(str, options)]
    done = subprocess.run(command, check=False, env=tied(cleaned(os.environ)))
    if done.returncode != 0:
        raise EmmaError(
            "control could not be measured",
            found=f"exit code {done.returncode}",
            expected="a ROS graph on this machine",
            fix="see above, then `emma doctor`",
        )
    found: dict[str, Any] = json.loads(file.read_text())
    # Raw pictures of five minutes are 25 GB; those of all cases would fill most disks.
    shutil.rmtree(out)
    return found


@contextmanager
def cores(count: int) -> Iterator[int]:
    """This process and its children on `count` cores, on fewer where there are no more; yields how many."""
    before = os.sched_getaffinity(0)
    chosen = set(sorted(before)[:count])
    os.sched_setaffinity(0, chosen)
    try:
        yield len(chosen)
    finally:
        os.sched_setaffinity(0, before)
