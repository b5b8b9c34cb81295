"""The large generator's shapes with random weights: seconds a clip and memory, beside diffusers' own pipeline."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image

from emma.bench.large_shapes import SHAPES, build, parameters
from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.pipeline import DreamTransfer
from emma.dreamtransfer.settings import Settings
from emma.dreamtransfer.vace import depth_pictures, wan_pipeline
from emma.dreamtransfer.views import join
from emma.progress import progress_bar

HELP = "Wan2.1-VACE's shapes, random weights: seconds a clip, memory, against WanVACEPipeline called plainly; a GPU"
VIEWS = ("left", "middle", "right")
FRAMES, HEIGHT, WIDTH = 81, 480, 640
# What a processor can do: it shows that both ways compute the same, and what ours adds.
SMALL_FRAMES, SMALL_SIDE, SMALL_STEPS = 9, 64, 4
STEPS, QUICK_STEPS = 30, 2
PROMPT = "a red cube on a wooden table"
NOT_TRIED = "not tried: no GPU here"


def run(quick: bool, seed: int) -> dict[str, Any]:
    """`cells`: one row for each shape; without a GPU the real ones are counted and said not to be tried."""
    names = [name for name in SHAPES if not quick or name != "14B"]
    rows = []
    with progress_bar() as bar:
        task = bar.add_task("large", total=len(names), note="")
        for name in names:
            bar.update(task, note=name)
            rows.append({"name": name, **_cell(name, quick, seed)})
            bar.advance(task)
    figures: dict[str, Any] = {}
    for row in rows:
        kept = {key: value for key, value in row.items() if key != "name" and value is not None}
        figures |= {f"{row['name']}_{key}": value for key, value in kept.items()}
    return {**figures, "cells": rows}


def _cell(name: str, quick: bool, seed: int) -> dict[str, Any]:
    shape = SHAPES[name]
    row: dict[str, Any] = {f"{part}_b": count for part, count in parameters(shape).items()}
    tiny, cuda = name == "tiny", torch.cuda.is_available()
    if not tiny and not cuda:
        return {**row, "state": NOT_TRIED}
    torch.manual_seed(seed)
    device = "cpu" if tiny else "cuda"
    generator = build(shape, device, torch.float32 if tiny else torch.bfloat16)
    clip = noise(seed, *((SMALL_FRAMES, SMALL_SIDE, SMALL_SIDE) if tiny else (FRAMES, HEIGHT, WIDTH)))
    steps = SMALL_STEPS if tiny else QUICK_STEPS if quick else STEPS
    generator.settings = Settings(steps=steps, guidance=5.0, window=len(clip), overlap=1)
    if not tiny:
        generator.enable_model_cpu_offload()
    generator.set_progress_bar_config(disable=True)
    ways = {"": lambda: generator.generate(clip, PROMPT, seed=seed), "plain_": lambda: plainly(generator, clip, seed)}
    if not tiny:
        # Kernels are chosen and memory is laid out in the first call.
        ways["plain_"]()
    made = {}
    for prefix, way in ways.items():
        made[prefix], row[f"{prefix}seconds"], row[f"{prefix}peak_gib"] = _measured(way, cuda and not tiny)
    ours = join(made[""], clip.views).astype(np.int16)
    row["largest_difference"] = int(np.abs(ours - made["plain_"]).max())
    return {**row, "steps": steps, "frames": len(clip), "state": "measured"}


def noise(seed: int, frames: int, height: int, width: int) -> Clip:
    """Pictures and depth that mean nothing."""
    rng = np.random.default_rng(seed)
    return Clip(
        images={view: rng.integers(0, 255, (frames, height, width, 3), np.uint8) for view in VIEWS},
        depth={view: rng.integers(300, 900, (frames, height, width), np.uint16) for view in VIEWS},
        fps=16.0,
    )


def plainly(generator: DreamTransfer, clip: Clip, seed: int) -> np.ndarray:
    """(T, H, V W, 3) int16: the same clip through diffusers' own pipeline, as its documentation shows."""
    guide = join(depth_pictures(clip), clip.views)
    frames, height, width = guide.shape[:3]
    made: Any = wan_pipeline(generator)(
        prompt=PROMPT,
        video=[Image.fromarray(picture) for picture in guide],
        height=height,
        width=width,
        num_frames=frames,
        num_inference_steps=generator.settings.steps,
        guidance_scale=generator.settings.guidance,
        generator=torch.Generator("cpu").manual_seed(seed),
        output_type="np",
    ).frames[0]
    return np.asarray(np.rint(np.clip(made, 0.0, 1.0) * 255.0), np.int16)


def _measured(way: Callable[[], Any], cuda: bool) -> tuple[Any, float, float | None]:
    """What it gives, seconds, and the most memory of the GPU in GiB."""
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    made = way()
    seconds = time.perf_counter() - began
    return made, seconds, torch.cuda.max_memory_allocated() / 2**30 if cuda else None
