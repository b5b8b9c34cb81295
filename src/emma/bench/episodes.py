"""The recorder under a robot's full traffic, what a kill -9 leaves, and the way from bag to dataset."""

import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from safetensors.numpy import load_file

from emma.bench.disk import BLOCK_BYTES, DISK_BYTES, disk_mb_per_s
from emma.bench.load import Load, write_robot
from emma.bench.load_process import check_room, run_load
from emma.conversion.config import ConvertConfig
from emma.conversion.convert import ConvertReport, convert
from emma.errors import EmmaError

HELP = "recording at 138 MB/s and its ceiling, kill -9 under load, conversion, live frames against bag frames"
INSTRUCTION = "carry the load"
# At 138 MB/s: two minutes are 17 GB.
SECONDS, QUICK_SECONDS = 120.0, 3.0
CEILINGS, QUICK_CEILINGS = ("1", "1.5", "2", "2.5", "3", "4"), ("2",)
PROBE_S, QUICK_PROBE_S = 5.0, 1.5
# How long a ceiling must hold. Quick: what the probes say.
SUSTAINED_S, QUICK_SUSTAINED_S = 30.0, 0.0
KEEP_S, QUICK_KEEP_S = 10.0, 1.5
KILLS, QUICK_KILLS = 50, 1
LIVE_S, QUICK_LIVE_S = 8.0, 1.5
# Plain writes, before and after the recorder's: a disk is not the same from minute to minute.
DISK_S, QUICK_DISK_S = 30.0, 1.0


def run(quick: bool, seed: int) -> dict[str, Any]:
    """`lost_messages`: of the steady load, counted in the bag. `ceiling_*`: the fastest load recorded without loss,
    against the lower of what a subscriber that only counts and plain writes reach (`ceiling_limit_mb_s`).
    `convert_memory_mb`: what converting added to the peak. `parity_max_diff`: over pixels, depth, state and action.
    """
    seconds, disk_s = (QUICK_SECONDS, QUICK_DISK_S) if quick else (SECONDS, DISK_S)
    with tempfile.TemporaryDirectory(prefix="emma-bench-") as scratch:
        folder = Path(scratch)
        check_room(folder, 1.0, seconds)
        busy = os.getloadavg()[0]
        disk = [disk_mb_per_s(folder, disk_s, DISK_BYTES)]
        found = run_load(
            folder,
            *("--seconds", seconds, "--probe", QUICK_PROBE_S if quick else PROBE_S),
            *("--ceilings", *(QUICK_CEILINGS if quick else CEILINGS)),
            *("--sustained", QUICK_SUSTAINED_S if quick else SUSTAINED_S),
            *("--live", QUICK_LIVE_S if quick else LIVE_S, "--keep", QUICK_KEEP_S if quick else KEEP_S),
            *("--kills", QUICK_KILLS if quick else KILLS, "--seed", seed),
        )
        disk.append(disk_mb_per_s(folder, disk_s, DISK_BYTES))
        figures = _recorder_figures(found, disk) | _kill_figures(found["kills"])
        figures |= _conversion(folder, Path(found["kept"]))
        figures["parity_max_diff"] = _parity(folder, Path(found["bag"]), Path(found["live"]))
    return figures | {"load_average_before": busy}


def _recorder_figures(found: dict[str, Any], disk: list[float]) -> dict[str, Any]:
    held, ceiling, subscriber = found["held"], found["recorder"]["mb_per_s"], found["subscriber"]["mb_per_s"]
    # A sustained ceiling has its own limit, measured just before; a quick one, the best that was seen.
    lower = found["recorder"].get("limit_mb_per_s") or min(subscriber, max(disk))
    return {
        "lost_messages": held["missing"],
        "messages": held["sent"],
        "seconds": held["seconds"],
        "mb_per_s": held["mb_per_s"],
        "gb": held["gb"],
        "queue_peak_mb": held["queue_peak_mb"],
        "memory_peak_mb": held["memory_peak_mb"],
        "recorder_cores": held["cores"],
        "publisher_late_s": held["publisher_late_s"],
        "publisher_skipped": held["publisher_skipped"],
        "ceiling_mb_s": ceiling,
        "subscriber_mb_s": subscriber,
        "disk_mb_s": disk,
        "ceiling_vs_subscriber": ceiling / subscriber if subscriber else float("nan"),
        "ceiling_limit_mb_s": lower,
        "ceiling_vs_lower_limit": ceiling / lower if lower else float("nan"),
        "recorder_steps": found["recorder"]["steps"],
        "subscriber_steps": found["subscriber"]["steps"],
    }


def _kill_figures(kills: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "killed": len(kills),
        "recovered": sum(kill["recovered"] for kill in kills),
        "lost_by_kill_s_max": max(kill["lost_s"] for kill in kills),
        "gaps_by_kill": sum(kill["gaps"] for kill in kills),
        "deaf_restarts": sum(kill["deaf"] for kill in kills),
        "kills": kills,
    }


def _conversion(folder: Path, bags: Path) -> dict[str, Any]:
    """Convert bags of the load at its own rates, against merely reading them."""
    start = time.monotonic()
    for path in bags.glob("*/*.mcap"):
        with path.open("rb") as file:
            while file.read(BLOCK_BYTES):
                pass
    read = time.monotonic() - start
    before = _memory_peak_mb()
    report = _converted(bags, folder / "converted", folder)
    return {
        "convert_s_per_gb": report.s_per_gb,
        "read_s_per_gb": read / (report.bag_bytes / 1e9),
        "convert_gb": report.bag_bytes / 1e9,
        "convert_frames": report.frames,
        "convert_memory_mb": _memory_peak_mb() - before,
    }


def _memory_peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def _parity(folder: Path, bag: Path, live: Path) -> float:
    """Convert the bag that was recorded while its frames were kept live, and compare every frame."""
    report = _converted(bag, folder / "parity", folder)
    dataset, frames = LeRobotDataset("local/bench", root=folder / "parity"), load_file(live)
    if not report.frames == len(dataset) == len(frames["state"]):
        return float("inf")
    return max(_difference(dataset[i], frames, i) for i in range(len(dataset)))


def _converted(bags: Path, out: Path, folder: Path) -> ConvertReport:
    report = convert(
        bags, out, write_robot(folder / "robot", Load()), ConvertConfig(instruction=INSTRUCTION, keep_stale=True)
    )
    if refused := [result.reason for result in report.results if result.outcome != "converted"]:
        raise EmmaError("a bag of the load did not convert", found="; ".join(refused), expected="frames")
    return report


def _difference(item: dict[str, Any], frames: dict[str, np.ndarray], i: int) -> float:
    """Largest difference of one frame: pixel levels, mm, and the joints' own units."""
    worst = 0.0
    for key, values in frames.items():
        live = values[i].astype(np.float64)
        got = item["action" if key == "action" else f"observation.{key}"].numpy().astype(np.float64)
        if key.startswith("images."):
            got = np.rint(got * 255).transpose(1, 2, 0)
        elif key.startswith("depth."):
            got = got.reshape(live.shape)
        worst = max(worst, float(np.abs(got - live).max()))
    return worst
