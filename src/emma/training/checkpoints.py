"""Checkpoints of a training run: whole folders, safetensors and JSON only, the newest two kept."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import Accelerator
from lerobot.common.train_utils import load_training_num_processes, load_training_state, save_training_state
from safetensors.torch import load_file, load_model, save_file, save_model
from torch.optim.lr_scheduler import LRScheduler

from emma.errors import EmmaError
from emma.files import atomic_dir

KEEP = 2
# Random states of all processes, where there are several.
RANDOM = "random_states.safetensors"


def checkpoint_folders(run: Path) -> list[Path]:
    """Checkpoints of a run, oldest first."""
    return sorted(p for p in (run / "checkpoints").glob("[0-9]*") if p.is_dir())


def remove_torn(run: Path) -> None:
    """Remove what a killed process had not finished writing."""
    for left in (run / "checkpoints").glob(".*.part"):
        shutil.rmtree(left, ignore_errors=True)


def save_checkpoint(
    run: Path,
    step: int,
    model: torch.nn.Module,
    average: torch.nn.Module | None,
    optimizer: torch.optim.Optimizer,
    scheduler: LRScheduler | None,
    log_state: dict[str, float],
    accelerator: Accelerator,
    more: Callable[[Path], None] | None = None,
) -> None:
    """Write `checkpoints/<step>`; older ones beyond the newest two are removed afterwards. Call it in every process.

    more: writes what else belongs to the checkpoint into the folder it is given.
    """
    states = _random_states(accelerator)
    folder = run / "checkpoints" / f"{step:08d}"
    if not accelerator.is_main_process or folder.exists():
        return
    with atomic_dir(folder) as aside:
        save_model(model, str(aside / "model.safetensors"))
        if average is not None:
            save_file({k: v.contiguous() for k, v in average.state_dict().items()}, aside / "average.safetensors")
        save_training_state(aside, step, optimizer, scheduler, num_processes=accelerator.num_processes)
        if states is not None:
            save_file({"states": states}, aside / RANDOM)
        (aside / "log_state.json").write_text(json.dumps(log_state))
        if more is not None:
            more(aside)
    for old in checkpoint_folders(run)[:-KEEP]:
        shutil.rmtree(old)


def load_checkpoint(
    folder: Path,
    model: torch.nn.Module,
    average: torch.nn.Module | None,
    optimizer: torch.optim.Optimizer,
    scheduler: LRScheduler | None,
    accelerator: Accelerator,
) -> tuple[int, dict[str, float]]:
    """Restore everything, random number generators too; returns the step and the log's running values.

    Raises EmmaError if another number of processes wrote it: the samples of its steps were other ones.
    """
    processes = load_training_num_processes(folder) or 1
    if processes != accelerator.num_processes:
        raise EmmaError(
            f"{folder} belongs to a training with {processes} processes",
            found=f"{accelerator.num_processes} now",
            expected=f"{processes}: every step's samples depend on it",
            fix=f"resume with `accelerate launch --num_processes {processes}`",
        )
    load_model(model, str(folder / "model.safetensors"))
    if average is not None:
        average.load_state_dict(load_file(folder / "average.safetensors"))
    step, _, _ = load_training_state(folder, optimizer, scheduler)
    if (folder / RANDOM).is_file():
        # A copy: torch 2.11 looks beyond a tensor that is a part of another one, and crashes.
        torch.set_rng_state(load_file(folder / RANDOM)["states"][accelerator.process_index].clone())
    return step, json.loads((folder / "log_state.json").read_text())


def _random_states(accelerator: Accelerator) -> torch.Tensor | None:
    """(processes, S) uint8: the processor's generator of each process, None for a single one."""
    if accelerator.num_processes == 1:
        return None
    mine = torch.get_rng_state().to(accelerator.device)
    states: torch.Tensor = accelerator.gather(mine[None])
    return states.cpu()
