"""Where the time of an augmentation goes: one episode and its variants in a worker of its own, on one core."""

import os
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import cv2
import numpy as np
import pyarrow as pa

from emma.augmentation import clips
from emma.augmentation.clips import ClipMaker, ClipTask, Tools
from emma.datasets.features import IMAGES
from emma.datasets.source import SourceEpisode
from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.fusion import Fusion
from emma.dreamtransfer.pipeline import DreamTransfer
from emma.dreamtransfer.prompts import Prompt
from emma.dreamtransfer.scorer import ClipScorer
from emma.dreamtransfer.small import SmallWindow

# Parts of a variant, in their order; the rest is what drawing takes beside its own parts.
GUIDE, TRANSFORMER, DECODER, FUSION, SCORES, FILES, REST = (
    "geometry for the control branch",
    "transformer",
    "decoder",
    "fusion",
    "scores",
    "PNG, Parquet, statistics",
    "rest",
)
# Variants after the first.
FURTHER: Final = 3


@dataclass
class Stopwatch:
    """Seconds by part since `take` was called last."""

    spent: dict[str, float] = field(default_factory=dict)

    def wrapped(self, part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return work(*args, **options)
            finally:
                self.spent[part] = self.spent.get(part, 0.0) + time.perf_counter() - began

        return timed

    def take(self) -> dict[str, float]:
        spent, self.spent = self.spent, {}
        return spent


def measure(generator: Path, clip: Clip, prompts: Sequence[str], seed: int) -> dict[str, Any]:
    """In this process, on one thread: seconds by part of each variant of `clip`, and the most memory held, MB."""
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    maker = ClipMaker(Tools(generator=lambda: DreamTransfer.load(generator, device="cpu"), scorer=ClipScorer))
    drawn: Any = maker.generator
    watch, variants = Stopwatch(), []
    with ExitStack() as stack:
        for owner, name, part in (
            (SmallWindow, "guide", GUIDE),
            (drawn.transformer, "forward", TRANSFORMER),
            (SmallWindow, "_decode", DECODER),
            (Fusion, "__call__", FUSION),
            (ClipScorer, "__call__", SCORES),
            (clips, "encode", FILES),
        ):
            stack.enter_context(patch.object(owner, name, watch.wrapped(part, getattr(owner, name))))
        # Of another length: kernels are chosen and nothing is kept.
        maker.draw(clip.part(0, min(2, len(clip))), prompts[0], seed)
        watch.take()
        maker.clip = lambda *_: clip  # type: ignore[method-assign]
        for n, prompt in enumerate(prompts):
            began = time.perf_counter()
            maker.make(_task(clip, n, prompt, seed + n))
            whole = time.perf_counter() - began
            parts = watch.take()
            variants.append({**parts, REST: whole - sum(parts.values())})
    return {"variants": variants, "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0}


def cost(generator: Path, clip: Clip, prompts: Sequence[str], seed: int, whole: int, quick: bool) -> dict[str, Any]:
    """Figures of the bench. whole: moments of the episode that `clip` is a part of.

    seconds_first_variant, seconds_per_variant: an episode's first variant and each further one (median), which shares
    what follows from depth and poses, with scores and files, on one core. stages: the same by part. worker_rss_mb: what
    one process holds at most. variants_per_minute: further ones with one worker and with one a core; not in a
    quick run.
    """
    work = partial(measure, generator, clip, prompts, seed)
    [alone] = _at_work(work, 1)
    scale = whole / len(clip)
    first, further = alone["variants"][0], alone["variants"][1:]
    rows = [
        {"stage": part, "first": first.get(part, 0.0) * scale, "further": _median(further, part) * scale}
        for part in (GUIDE, TRANSFORMER, DECODER, FUSION, SCORES, FILES, REST)
    ]
    found = {
        "seconds_first_variant": round(sum(first.values()) * scale, 2),
        "seconds_per_variant": round(statistics.median(sum(v.values()) for v in further) * scale, 2),
        "stages": [_rounded(row) for row in rows],
        "worker_rss_mb": round(alone["rss_mb"]),
    }
    if quick:
        return found
    cores = len(os.sched_getaffinity(0))
    together = _at_work(work, cores)
    return found | {
        "variants_per_minute": {
            "1": round(_per_minute([alone]), 1),
            str(cores): round(_per_minute(together), 1),
        }
    }


def _at_work(work: Callable[[], dict[str, Any]], processes: int) -> list[dict[str, Any]]:
    """What each of so many processes measures, all at work at the same time."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return [future.result() for future in [pool.submit(work) for _ in range(processes)]]


def _per_minute(workers: Sequence[Mapping[str, Any]]) -> float:
    return sum(60.0 / statistics.median(sum(v.values()) for v in worker["variants"][1:]) for worker in workers)


def _median(variants: Sequence[Mapping[str, float]], part: str) -> float:
    return statistics.median(variant.get(part, 0.0) for variant in variants)


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 2) if isinstance(value, float) else value for name, value in row.items()}


def _task(clip: Clip, variant: int, prompt: str, seed: int) -> ClipTask:
    moments = np.arange(len(clip))
    rows = pa.table({"timestamp": (moments / clip.fps).astype(np.float32), "frame_index": moments})
    height, width = next(iter(clip.images.values())).shape[1:3]
    return ClipTask(
        episode=SourceEpisode(index=0, task="", fps=round(clip.fps), rows=rows, provenance={}),
        variant=variant,
        prompt=Prompt(text=prompt),
        seed=seed,
        cameras=clip.views,
        features={IMAGES + view: {"dtype": "image", "shape": (height, width, 3)} for view in clip.views},
    )
