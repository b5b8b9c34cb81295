"""The loop that all stages share: schedule, moving average, whole checkpoints, a log in JSON lines."""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from emma.errors import EmmaError
from emma.files import atomic_write_text

LOG: Final = "log.jsonl"
# A checkpoint is one file: weights, moving average, optimiser and step always belong together.
CHECKPOINT: Final = "checkpoint.safetensors"
_BETAS: Final = (0.9, 0.95)

# (numpy generator, torch generator) -> loss and what else to log. Both follow from (seed, step) alone.
Loss = Callable[[np.random.Generator, torch.Generator], tuple[torch.Tensor, Mapping[str, float]]]


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """One stage. learning_rate is the peak of a cosine after `warmup` steps; average: decay of the weights' mean."""

    steps: int
    batch_size: int
    learning_rate: float = 1e-3
    warmup: int = 100
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    average: float = 0.999
    seed: int = 0
    log_every: int = 25
    save_every: int = 250

    def __post_init__(self) -> None:
        if min(self.steps, self.batch_size, self.log_every, self.save_every) < 1 or not 0 <= self.average < 1:
            raise EmmaError(
                "a training stage that cannot run", found=str(asdict(self)), expected="counts from 1, average below 1"
            )

    def rate(self, step: int) -> float:
        """Learning rate at `step`."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        share = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * (0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, share))))


def run_stage(
    module: torch.nn.Module,
    loss: Loss,
    config: StageConfig,
    folder: Path,
    progress: Callable[[int, float], None] | None = None,
) -> None:
    """Train `module` in place from the last checkpoint in `folder`, and leave the averaged weights in it.

    Every draw follows from (seed, step), so a run that was killed ends at the same weights as one that was not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, config.learning_rate, betas=_BETAS, weight_decay=config.weight_decay)
    average = {name: value.detach().clone() for name, value in module.state_dict().items()}
    start = _load(folder / CHECKPOINT, module, optimizer, average)
    module.train()
    began, since, total = time.monotonic(), start, 0.0
    for step in range(start, config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.rate(step)
        rng = np.random.default_rng([config.seed, step])
        noise = torch.Generator().manual_seed(int(rng.integers(2**62)))
        value, extra = loss(rng, noise)
        if not torch.isfinite(value):
            raise EmmaError(
                f"the loss is not finite at step {step}",
                found=float(value.detach()),
                expected="a number",
                fix=f"lower the learning rate; {folder / CHECKPOINT} still holds the last good weights",
            )
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm)
        optimizer.step()
        # Early on the mean follows quickly, or it would remember the random start.
        keep = min(config.average, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, now in module.state_dict().items():
                average[name].lerp_(now, 1.0 - keep) if now.is_floating_point() else average[name].copy_(now)
        total += float(value.detach())
        done = step + 1
        if done % config.log_every == 0 or done == config.steps:
            speed = (done - since) * config.batch_size / (time.monotonic() - began)
            row = {"step": done, "loss": total / (done - since), "samples_per_s": speed, **extra}
            with (folder / LOG).open("a") as file:
                file.write(json.dumps({key: round(float(number), 6) for key, number in row.items()}) + "\n")
            if progress is not None:
                progress(done, row["loss"])
            began, since, total = time.monotonic(), done, 0.0
        if done % config.save_every == 0 or done == config.steps:
            _save(folder / CHECKPOINT, module, optimizer, average, done)
    module.load_state_dict(average)
    module.eval()
    atomic_write_text(folder / "stage.json", json.dumps(asdict(config), indent=2))


def _save(
    file: Path,
    module: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Mapping[str, torch.Tensor],
    step: int,
) -> None:
    tensors = {f"weights/{name}": value.detach().contiguous() for name, value in module.state_dict().items()}
    tensors |= {f"average/{name}": value.contiguous() for name, value in average.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{key}": value.contiguous() for key, value in state.items()}
    aside = file.with_suffix(".tmp")
    # clone: safetensors refuses tensors that share memory.
    save_file({name: value.clone() for name, value in tensors.items()}, aside, metadata={"step": str(step)})
    aside.replace(file)


def _load(
    file: Path, module: torch.nn.Module, optimizer: torch.optim.Optimizer, average: dict[str, torch.Tensor]
) -> int:
    """Put the checkpoint's content in place and return its step; 0 without one."""
    if not file.is_file():
        return 0
    from safetensors import safe_open

    with safe_open(file, "pt") as content:
        step = int(content.metadata()["step"])
    tensors: dict[str, Any] = load_file(file)
    try:
        module.load_state_dict(_under(tensors, "weights/"))
    except RuntimeError as error:
        raise EmmaError(
            f"{file} is of another model", found=str(error).splitlines()[0], fix="choose another --out"
        ) from None
    average.update(_under(tensors, "average/"))
    states: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in _under(tensors, "optimizer/").items():
        index, key = name.split("/")
        states.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
    return step


def _under(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
