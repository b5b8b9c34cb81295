"""SmolVLA, pi0 and pi0.5 in their real shapes, random weights: sizes, parity, latency and the roofline beside it."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emma.bench.cells import ROOT, Cells
from emma.bench.fullsize_cell import CellConfig
from emma.bench.random_vla import FULL, KINDS, reduced
from emma.bench.roofline import Ceilings, Work, as_row, count, measure
from emma.interrupts import tied
from emma.progress import progress_bar

HELP = "SmolVLA, pi0, pi0.5 in full shape, random weights: graph sizes, parity, latency, roofline; 1 to 3 cameras"
CAMERAS = (1, 2, 3)
# What of pi0 and pi0.5 fits into 24 GiB in float32, with the exporter's copies: every width, this many layers.
PI_LAYERS = 1
QUICK = CellConfig(kind="smolvla", cameras=1, layers=1, repetitions=1)
GPU_REPETITIONS = 50
NOT_TRIED = "not tried"


def run(quick: bool, seed: int) -> dict[str, Any]:
    """`cells`: one row for each policy and number of cameras; a row that could not be measured says why.

    An interrupted run goes on where it stopped. Every cell is measured in a process of its own.
    """
    with tempfile.TemporaryDirectory(prefix="emma-bench-") as scratch, progress_bar() as bar:
        root = Path(scratch) if quick else ROOT
        cells = Cells("fullsize", {"sizes": {k: repr(v) for k, v in FULL.items()}, "format": 1}, root)
        configs = [QUICK] if quick else _configs()
        shapes = [("smolvla", 1)] if quick else [(kind, n) for kind in KINDS for n in CAMERAS]
        task = bar.add_task("fullsize", total=len(shapes) + len(configs) + 1, note="")
        ceilings = [measure("cpu")] + ([measure("cuda")] if _gpu() else [])
        bar.update(task, advance=1, note="ceilings")
        works, rows = {}, []
        for kind, cameras in shapes:
            bar.update(task, note=f"count {kind}, {cameras} cameras")
            works[kind, cameras] = _count(cells, kind, cameras, layers=None)
            rows.append(_roofline(kind, cameras, works[kind, cameras], ceilings))
            bar.update(task, advance=1)
        for config in configs:
            bar.update(task, note=config.name)
            rows.append(_cell(cells, config, ceilings))
            bar.update(task, advance=1)
    figures: dict[str, Any] = {f"{c.device}_gb_s": c.bytes_per_s / 1e9 for c in ceilings}
    figures |= {f"{c.device}_{c.dtype}_gflops": c.flops / 1e9 for c in ceilings}
    for (kind, cameras), work in works.items():
        if cameras == 1:
            figures[f"{kind}_parameters_m"] = work.parameters / 1e6
    for row in rows:
        for key in ("parity_max_abs_error", "onnxruntime_p50_ms"):
            if key in row:
                figures[f"{row['name']}_{key}"] = row[key]
        if row.get("state", "").startswith(NOT_TRIED):
            figures[row["name"]] = row["state"]
    return {**figures, "cells": rows}


def _configs() -> list[CellConfig]:
    """SmolVLA whole; pi0 and pi0.5 in all widths with fewer layers, and whole in bfloat16, written only.

    On a processor with one camera: it takes seconds per chunk, and more cameras only add to them as the roofline says.
    """
    configs = [CellConfig(kind="smolvla", cameras=1)]
    configs += [CellConfig(kind=k, cameras=1, layers=PI_LAYERS) for k in ("pi0", "pi05")]
    configs += [CellConfig(kind=k, cameras=1, dtype="bfloat16") for k in ("pi0", "pi05")]
    gpu = [CellConfig(kind=k, cameras=n, device="cuda", repetitions=GPU_REPETITIONS) for k in KINDS for n in CAMERAS]
    return configs + gpu


def _count(cells: Cells, kind: str, cameras: int, layers: int | None) -> Work:
    name = f"count-{kind}-{cameras}-{layers or 'full'}"
    kept = cells.get(name)
    if kept is None:
        size = FULL[kind] if layers is None else reduced(FULL[kind], layers)
        with tempfile.TemporaryDirectory(prefix="emma-count-") as folder:
            kept = asdict(count(kind, size, Path(folder), cameras))
        cells.put(name, kept)
    return Work(**kept)


def _roofline(kind: str, cameras: int, work: Work, ceilings: list[Ceilings]) -> dict[str, Any]:
    least = {f"roofline_{c.device}_ms": 1e3 * work.seconds(c) for c in ceilings}
    return {"name": f"{kind}-{cameras}cam-roofline", "kind": kind, "cameras": cameras, **as_row(work), **least}


def _cell(cells: Cells, config: CellConfig, ceilings: list[Ceilings]) -> dict[str, Any]:
    row: dict[str, Any] = {"name": config.name, **asdict(config)}
    kept = cells.get(config.name)
    if kept is None:
        if config.device != "cpu" and not _gpu():
            return {**row, "state": f"{NOT_TRIED}: no GPU here"}
        work = _count(cells, config.kind, config.cameras, config.layers)
        needs, free = config.needs_gib(work.parameters), _free_gib()
        if needs > free:
            return {**row, "state": f"{NOT_TRIED}: needs {needs:.0f} GiB of memory, {free:.0f} are free"}
        kept = _measured(config)
        if "failed" in kept:
            return {**row, "state": f"failed: {kept['failed']}"}
        kept["parameters"] = work.parameters
        kept |= {f"roofline_{c.device}_ms": 1e3 * work.seconds(c) for c in ceilings if c.device == config.device}
        cells.put(config.name, kept)
    return {**row, **kept, "state": "measured"}


def _measured(config: CellConfig) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="emma-cell-") as folder:
        file = Path(folder) / "cell.json"
        command = [
            sys.executable,
            "-m",
            "emma.environment",
            "emma.bench.fullsize_cell",
            json.dumps(asdict(config)),
            str(file),
        ]
        done = subprocess.run(
            command, check=False, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=tied(os.environ)
        )
        if done.returncode != 0 or not file.is_file():
            last = (done.stderr.strip().splitlines() or [""])[-1]
            return {"failed": f"exit code {done.returncode} {last[:300]}"}
        return dict(json.loads(file.read_text()))


def _free_gib() -> float:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) / 2**20


def _gpu() -> bool:
    import torch

    return torch.cuda.is_available()
