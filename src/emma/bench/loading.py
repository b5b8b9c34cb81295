"""How fast training data comes: our loader beside the one of `lerobot-train`, on the same datasets and machine."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from emma.bench.loading_data import CAMERAS, make_dataset

HELP = "samples per second from av1, h264 and image datasets of 3 x 640 x 480, beside lerobot-train's loader"
FORMS = ("av1", "h264", "image")
BATCH = 8
# Of an action chunk, as LeRobot's ACT has by default.
CHUNK = 100


def run(quick: bool, seed: int) -> dict[str, Any]:
    """`speedup_vs_lerobot`: the smallest of the forms, without a cache; `memory_mb`: the most that our loader takes
    over what the process had before; `data_share`: of a training step of the small ACT on video, waiting for pictures.

    Each measurement is a process of its own; ours and theirs take turns.
    """
    episodes, frames, batches, rounds = (3, 40, 12, 1) if quick else (6, 150, 40, 3)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="emma-bench-") as scratch:
        for form in FORMS:
            root = make_dataset(Path(scratch) / form, form, episodes, frames, seed)
            ours, theirs = [], []
            for turn in range(rounds):
                ours.append(_measure(root, "ours", batches, seed + turn))
                theirs.append(_measure(root, "lerobot", batches, seed + turn))
            mine, other = (max(r["samples_per_s"] for r in results) for results in (ours, theirs))
            rows.append(
                {
                    "form": form,
                    "samples_per_s": mine,
                    "lerobot_samples_per_s": other,
                    "speedup": mine / other,
                    "memory_mb": max(r["memory_mb"] for r in ours),
                    "lerobot_memory_mb": max(r["memory_mb"] for r in theirs),
                    "lerobot_workers": theirs[0]["workers"],
                    "lerobot_backend": theirs[0]["backend"],
                }
            )
        share = _measure(Path(scratch) / FORMS[0], "training", max(6, batches // 4), seed)
    return {
        "speedup_vs_lerobot": min(row["speedup"] for row in rows),
        "memory_mb": max(row["memory_mb"] for row in rows),
        "lerobot_memory_mb": max(row["lerobot_memory_mb"] for row in rows),
        "data_share": share["data_share"],
        "step_ms": share["step_ms"],
        "batch_size": BATCH,
        "cameras": len(CAMERAS),
        "forms": rows,
    }


def _measure(root: Path, what: str, batches: int, seed: int) -> dict[str, Any]:
    """One measurement in a process of its own, so that memory and open files are its own."""
    with tempfile.TemporaryDirectory(prefix="emma-bench-") as cache:
        answer = subprocess.run(
            [sys.executable, "-m", "emma.bench.loading_process", what, str(root), str(batches), str(seed)],
            env={**os.environ, "HF_DATASETS_CACHE": cache, "EMMA_CACHE": cache, "HF_HUB_OFFLINE": "1"},
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
    result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return result
