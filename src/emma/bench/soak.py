"""The recorder for half an hour at a tenth of a robot's full traffic: messages lost, and its memory over time."""

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from emma.bench.load_process import check_room, run_load

HELP = "half an hour of recording at a tenth of the load: messages lost, memory over time"
FACTOR = 0.1
SECONDS, QUICK_SECONDS = 1800.0, 20.0
# How many parts of the run memory is told of.
PARTS, QUICK_PARTS = 30, 4


def run(quick: bool, seed: int) -> dict[str, Any]:
    """`lost_messages`: counted in the bag. `memory_mb_over_time`: the most in each of equal parts of the run.

    `memory_growth_mb`: the median of the last quarter less that of the second; the first holds start and warm-up.
    """
    seconds, parts = (QUICK_SECONDS, QUICK_PARTS) if quick else (SECONDS, PARTS)
    with tempfile.TemporaryDirectory(prefix="emma-bench-") as scratch:
        folder = Path(scratch)
        check_room(folder, FACTOR, seconds)
        busy = os.getloadavg()[0]
        held = run_load(folder, "--seconds", seconds, "--factor", FACTOR, "--seed", seed)["held"]
    memory = np.array([mb for _, mb in held["memory"]])
    quarter = len(memory) // 4
    return {
        "lost_messages": held["missing"],
        "messages": held["sent"],
        "seconds": held["seconds"],
        "mb_per_s": held["mb_per_s"],
        "gb": held["gb"],
        "dropped": held["dropped"],
        "lost_before_recorder": held["lost_before"],
        "queue_peak_mb": held["queue_peak_mb"],
        "memory_peak_mb": held["memory_peak_mb"],
        "memory_growth_mb": float(np.median(memory[-quarter:]) - np.median(memory[quarter : 2 * quarter])),
        "memory_mb_over_time": [round(float(part.max()), 1) for part in np.array_split(memory, parts)],
        "recorder_cores": held["cores"],
        "publisher_late_s": held["publisher_late_s"],
        "publisher_skipped": held["publisher_skipped"],
        "load_average_before": busy,
    }
