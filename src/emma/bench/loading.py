"""How fast training data comes: our loader beside the one of `lerobot-train`, on the same datasets and machine."""

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emma.bench.loading_process import lerobot, ours, training, written
from emma.bench.loading_sizes import BATCH, CAMERAS, CHUNK, IMAGE_CHUNK
from emma.interrupts import end_with_parent

HELP = "samples per second from av1, h264 and image datasets of 3 x 640 x 480, beside lerobot-train's loader"
IMAGE = "image"
FORMS = ("av1", "h264", IMAGE)
# What the measured processes need, imported once by the server that they are forked from.
IMPORTED_ONCE = (
    "emma.training.loop",
    "emma.bench.loading_data",
    "lerobot.datasets.lerobot_dataset",
)


def run(quick: bool, seed: int) -> dict[str, Any]:
    """`speedup_vs_lerobot`: the smallest of the forms (quick: av1 alone), without a cache; `memory_mb`: the most that
    our loader takes over what the process had before; `data_share`: of a training step of the default policy on av1
    video, waiting for pictures.

    Each measurement is a process of its own; ours and theirs take turns.
    """
    episodes, frames, batches, rounds = (2, 56, 12, 1) if quick else (6, 150, 40, 3)
    forms = FORMS[:1] if quick else FORMS
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="emma-bench-") as scratch, _caches(Path(scratch) / "cache"):
        roots = {form: Path(scratch) / form for form in forms}
        _say(f"writing {len(forms)} dataset{'s' * (len(forms) > 1)} of {episodes} episodes")
        with _pool(len(os.sched_getaffinity(0))) as pool:
            for made in [pool.submit(written, roots[form], form, episodes, frames, seed) for form in forms]:
                made.result()
        for form, root in roots.items():
            mine, theirs = [], []
            chunk = IMAGE_CHUNK if form == IMAGE else CHUNK
            for turn in range(rounds):
                _say(f"{form}: round {turn + 1} of {rounds}")
                mine.append(_alone(ours, root, batches, seed + turn, chunk))
                theirs.append(_alone(lerobot, root, batches, seed + turn, chunk))
            fast, other = (max(r["samples_per_s"] for r in results) for results in (mine, theirs))
            rows.append(
                {
                    "form": form,
                    "samples_per_s": fast,
                    "lerobot_samples_per_s": other,
                    "speedup": fast / other,
                    "memory_mb": max(r["memory_mb"] for r in mine),
                    "lerobot_memory_mb": max(r["memory_mb"] for r in theirs),
                    "lerobot_workers": theirs[0]["workers"],
                    "lerobot_backend": theirs[0]["backend"],
                }
            )
            _say(f"{form}: {fast:.1f} samples/s, LeRobot's loader {other:.1f}")
        steps = 6 if quick else max(6, batches // 4)
        _say(f"{steps} training steps")
        share = _alone(training, roots[FORMS[0]], steps, seed)
    return {
        "speedup_vs_lerobot": min(row["speedup"] for row in rows),
        "memory_mb": max(row["memory_mb"] for row in rows),
        "lerobot_memory_mb": max(row["lerobot_memory_mb"] for row in rows),
        **{f"{row['form']}_speedup": row["speedup"] for row in rows},
        "data_share": share["data_share"],
        "step_ms": share["step_ms"],
        "batch_size": BATCH,
        "cameras": len(CAMERAS),
        "forms": rows,
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def _caches(folder: Path) -> Iterator[None]:
    """Libraries that are imported within keep their caches in `folder`, and ask no hub."""
    ours = {"HF_DATASETS_CACHE": str(folder), "EMMA_CACHE": str(folder), "HF_HUB_OFFLINE": "1"}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _pool(workers: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED_ONCE))
    return ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent)


def _alone(work: Callable[..., dict[str, Any]], root: Path, *values: int) -> dict[str, Any]:
    """One measurement in a process of its own, so that memory and open files are its own."""
    with _pool(1) as pool:
        return pool.submit(work, root, *values).result()
