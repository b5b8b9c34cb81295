"""One loader alone in a process: samples per second and memory, or the share of a training step that waits for it."""

import json
import logging
import multiprocessing
import os
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import psutil

from emma.bench.loading_sizes import BATCH, CAMERAS, CHUNK

# Batches before the clock starts: workers begin, files are opened.
WARM_UP = 2
WORKERS = 4


class Memory:
    """The largest resident memory of this process and its children, in MB above that of the start.

    Pages that processes share count once (proportional set size), with those of the server that forked this one.
    """

    def __init__(self) -> None:
        self._start, self.most = self._now(), 0.0
        self._over = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def close(self) -> float:
        """The figure so far."""
        self._over.set()
        return max(self.most, self._now() - self._start)

    def _watch(self) -> None:
        while not self._over.wait(0.25):
            self.most = max(self.most, self._now() - self._start)

    def _now(self) -> float:
        total, me = 0, psutil.Process()
        server = me.parent() if multiprocessing.parent_process() is not None else None
        for process in [*([server] if server else []), me, *me.children(recursive=True)]:
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                continue
        return total / 2**20


def written(root: Path, form: str, episodes: int, frames: int, seed: int) -> None:
    """The dataset that is read: see `make_dataset`."""
    from emma.bench.loading_data import make_dataset

    make_dataset(root, form, episodes, frames, seed)


def ours(root: Path, batches: int, seed: int, chunk: int = CHUNK) -> dict[str, Any]:
    """FrameTable without a cache, decoding ahead; each batch as tensors, as the train loop takes it."""
    import numpy as np
    import torch

    from emma.training.ahead import Ahead
    from emma.training.frames import FrameTable, open_source
    from emma.training.sampler import FrameSampler

    torch.set_num_threads(1)
    memory = Memory()
    table = FrameTable([open_source(root)], CAMERAS, threads=_cores(), memory_bytes=0)
    sampler = FrameSampler([np.arange(len(table))], [1.0], BATCH, seed)
    ahead = Ahead(table, sampler.indices, None, WARM_UP + batches)
    began = 0.0
    for step in range(WARM_UP + batches):
        if step == WARM_UP:
            began = time.perf_counter()
        frames, pictures = ahead.take(step)
        table.batch(frames, range(chunk), None, pictures)
    seconds = time.perf_counter() - began
    return {"samples_per_s": batches * BATCH / seconds, "memory_mb": memory.close()}


def lerobot(root: Path, batches: int, seed: int, chunk: int = CHUNK) -> dict[str, Any]:
    """LeRobotDataset behind a DataLoader with the defaults of `lerobot-train`."""
    # Warns of more workers than cores, and with a traceback of a torchcodec that finds no FFmpeg. What is used instead
    # is one of the figures.
    logging.getLogger().setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", "This DataLoader will create")
    import torch
    from lerobot.datasets.lerobot_dataset import LeRobotDataset
    from lerobot.utils.import_utils import get_safe_default_video_backend

    from emma.bench.loading_data import FPS

    torch.set_num_threads(1)
    memory = Memory()
    dataset = LeRobotDataset("local/bench", root=root, delta_timestamps={"action": [i / FPS for i in range(chunk)]})
    loader = torch.utils.data.DataLoader(
        dataset,
        batch_size=BATCH,
        shuffle=True,
        generator=torch.Generator().manual_seed(seed),
        num_workers=WORKERS,
        prefetch_factor=4,
        persistent_workers=True,
        drop_last=True,
    )
    began, seen, total = 0.0, 0, WARM_UP + batches
    while seen < total:
        for _ in loader:
            if seen == WARM_UP:
                began = time.perf_counter()
            seen += 1
            if seen >= total:
                break
    # The clock starts with batch WARM_UP in hand.
    seconds = time.perf_counter() - began
    return {
        "samples_per_s": (batches - 1) * BATCH / seconds,
        "memory_mb": memory.close(),
        "workers": WORKERS,
        "backend": get_safe_default_video_backend(),
    }


def training(root: Path, steps: int, seed: int) -> dict[str, Any]:
    """How much of a step of the default policy is waiting for pictures."""
    from emma.training.config import TrainConfig
    from emma.training.loop import LOG, RUN, train

    with tempfile.TemporaryDirectory(prefix="emma-bench-") as scratch:
        config = TrainConfig(data=(str(root),), steps=steps, batch_size=BATCH, seed=seed, log_every=1, cache_gb=0.0)
        out = train(config, Path(scratch) / "bundle")
        rows = [json.loads(line) for line in (out / RUN / LOG).read_text().splitlines()][WARM_UP:]
    step_ms = sum(row["step_ms"] for row in rows)
    return {"data_share": sum(row["data_ms"] for row in rows) / step_ms, "step_ms": step_ms / len(rows)}


def _cores() -> int:
    return max(2, len(os.sched_getaffinity(0)))
