"""Checkpoints of a training run: whole folders, safetensors and JSON only, the newest two kept."""

import json
import shutil
from pathlib import Path

import torch
from lerobot.common.train_utils import load_training_state, save_training_state
from safetensors.torch import load_file, load_model, save_file, save_model
from torch.optim.lr_scheduler import LRScheduler

from emma.files import atomic_dir

KEEP = 2


def checkpoint_folders(run: Path) -> list[Path]:
    """Checkpoints of a run, oldest first."""
    return sorted(p for p in (run / "checkpoints").glob("[0-9]*") if p.is_dir())


def save_checkpoint(
    run: Path,
    step: int,
    model: torch.nn.Module,
    average: torch.nn.Module | None,
    optimizer: torch.optim.Optimizer,
    scheduler: LRScheduler | None,
    log_state: dict[str, float],
) -> Path:
    """Write `checkpoints/<step>`; older ones beyond the newest two are removed afterwards."""
    folder = run / "checkpoints" / f"{step:08d}"
    if folder.exists():
        return folder
    with atomic_dir(folder) as aside:
        save_model(model, str(aside / "model.safetensors"))
        if average is not None:
            save_file({k: v.contiguous() for k, v in average.state_dict().items()}, aside / "average.safetensors")
        save_training_state(aside, step, optimizer, scheduler)
        (aside / "log_state.json").write_text(json.dumps(log_state))
    for old in checkpoint_folders(run)[:-KEEP]:
        shutil.rmtree(old)
    return folder


def load_checkpoint(
    folder: Path,
    model: torch.nn.Module,
    average: torch.nn.Module | None,
    optimizer: torch.optim.Optimizer,
    scheduler: LRScheduler | None,
) -> tuple[int, dict[str, float]]:
    """Restore everything, random number generators too; returns the step and the log's running values."""
    load_model(model, str(folder / "model.safetensors"))
    if average is not None:
        average.load_state_dict(load_file(folder / "average.safetensors"))
    step, _, _ = load_training_state(folder, optimizer, scheduler)
    return step, json.loads((folder / "log_state.json").read_text())
