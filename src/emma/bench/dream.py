"""The shipped generator on motions and prompts that it never saw, against the simulator's true pictures of them."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from emma.bench.dream_cost import FURTHER, cost
from emma.bench.dream_measure import Judge, Measured, colour_accuracy_by_segment, figures
from emma.bench.dream_methods import WINDOWS, Method, ablations, hue_shift, joins, with_settings
from emma.bench.dream_scene import domain_of, film, part
from emma.dreamtransfer.pipeline import DreamTransfer
from emma.dreamtransfer.prompts import Grammar
from emma.dreamtransfer.score_sheets import sheet
from emma.progress import progress_bar
from emma.resources import data_dir
from emma.robots.spec import load_robot
from emma.sim.arm import DeskArm

HELP = "the shipped generator on unseen prompts and motions, beside its ablations, recolouring and the true re-render"
GENERATOR = "dreamtransfer_desk"
# Motions, each with a prompt of its own; in a quick run one motion, its first frames only.
CLIPS, QUICK_CLIPS, QUICK_FRAMES = 6, 1, 20
STEPS, QUICK_STEPS = (1, 2, 4), (1, 2)
# Expert episodes from here on: no other part of the stack films them.
FIRST_SEED = 700_000
SHEETS, MOMENTS = 4, 5
RENDER, SOURCE = "render", "source"


def run(quick: bool, seed: int) -> dict[str, Any]:
    """The generator's own figures by their names; those of `<other way>_<name>`; `steps_<n>_<name>`; ways as a list.

    seconds_per_episode: drawing the first variant of an episode, on one core. What else there is to an augmentation,
    and what a further variant of the same episode takes: `dream_cost.cost`.

    The prompts have combinations of words that the generator's training left out.
    """
    # As in a worker of `emma augment`.
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    folder = data_dir("models") / GENERATOR
    generator = DreamTransfer.load(folder)
    counts, shipped = QUICK_STEPS if quick else STEPS, generator.settings.steps
    ways: dict[str, Method] = {
        "generator": with_settings(generator),
        **{f"steps_{n}": with_settings(generator, steps=n) for n in counts if n != shipped},
        **ablations(generator),
        "hue_shift": hue_shift,
    }
    drawn = {"windows": replace(generator.settings, **WINDOWS)}
    measured: dict[str, list[Measured]] = {name: [] for name in (RENDER, *ways)}
    sheets: list[tuple[str, dict[str, Mapping[str, np.ndarray]]]] = []
    clips = QUICK_CLIPS if quick else CLIPS
    prompts = Grammar.load("desk").sample(clips, seed, held_out=True)
    views = generator.views or ("top", "wrist")
    with DeskArm(load_robot(), cameras=views) as sim, progress_bar() as bar:
        task = bar.add_task("dream", total=clips * (1 + len(ways)), note="")
        episode = FIRST_SEED + seed
        for n, prompt in enumerate(prompts):
            look = domain_of(prompt.words, seed + n)
            take = film(sim, episode, [look])
            episode = take.seed + 1
            whole = len(take.clip)
            if quick:
                take = part(take, QUICK_FRAMES)
            judge = Judge(take, take.looks[0])
            made: dict[str, Mapping[str, np.ndarray]] = {SOURCE: take.clip.images, RENDER: take.looks[0].images}
            measured[RENDER].append(judge(made[RENDER]))
            bar.update(task, advance=1, note=prompt.text)
            for name, way in ways.items():
                began = time.perf_counter()
                made[name] = way(take.clip, prompt.text, seed + n)
                took = (time.perf_counter() - began) * whole / len(take.clip)
                measured[name].append(
                    judge(made[name], took, joins(len(take.clip), drawn.get(name, generator.settings)))
                )
                bar.advance(task)
            if n < SHEETS:
                sheets.append((prompt.text, made))
    if shipped in counts:
        measured[f"steps_{shipped}"] = measured["generator"]
    if not quick:
        _write(sheets)
    texts = [prompt.text for prompt in Grammar.load("desk").sample(1 + FURTHER, seed)]
    return {
        "clips": clips,
        "frames_per_clip": len(take.clip),
        "generator_sha256": generator.sha256[:12],
        "steps": generator.settings.steps,
        **_by_way(measured),
        **cost(folder, take.clip, texts, seed, whole, quick),
        **{f"colour_accuracy_{s}": v for s, v in colour_accuracy_by_segment(measured["generator"]).items()},
        "clips_measured": [
            {"prompt": prompt.text, "psnr_db": m.psnr_db, "boundary_f": m.boundary_f, **m.cube_iou}
            for prompt, m in zip(prompts, measured["generator"], strict=True)
        ],
    }


def _by_way(measured: Mapping[str, list[Measured]]) -> dict[str, float]:
    true = measured[RENDER]
    rows: dict[str, float] = {}
    for name in ("generator", *(n for n in measured if n != "generator")):
        prefix = "" if name == "generator" else f"{name}_"
        rows |= {prefix + key: value for key, value in figures(measured[name], true).items()}
    return rows


def _write(sheets: list[tuple[str, dict[str, Mapping[str, np.ndarray]]]]) -> None:
    folder = Path(__file__).resolve().parents[3] / "docs" / "results"
    for n, (prompt, made) in enumerate(sheets):
        titles = [f"{name.replace('_', ' ')}: {prompt}" if name == RENDER else name.replace("_", " ") for name in made]
        sheet(folder / f"dream-{n + 1}.png", list(made.values()), titles, MOMENTS)
