"""The train loop: frames to loss to weights, for every LeRobot policy class, resumable to the bit on CPU."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from lerobot.utils.random_utils import set_seed
from torch.optim.swa_utils import AveragedModel

from emma.errors import EmmaError
from emma.files import atomic_write_text
from emma.progress import progress_bar
from emma.robot import load_robot
from emma.training.bundles import write_bundle
from emma.training.checkpoints import checkpoint_folders, load_checkpoint, save_checkpoint
from emma.training.config import TrainConfig
from emma.training.frames import IMAGES, FrameTable, open_source
from emma.training.initial import continue_from
from emma.training.plots import plot_loss
from emma.training.policies import Built, build_policy, require_policy
from emma.training.sampler import EpochSampler

CONFIG, LOG, RUN = "train.json", "log.jsonl", "training"


def train(config: TrainConfig, out: Path, *, resume: bool = False) -> Path:
    """Train and write a policy bundle to `out`; its run (checkpoints, log, plot) is kept in `out/training`.

    Interrupted by SIGINT or SIGTERM it saves a checkpoint and raises KeyboardInterrupt; `resume` goes on from the
    newest checkpoint to the same weights as without the interruption (CPU). Raises EmmaError for bad input.
    """
    run = out / RUN
    _claim(run, config, resume)
    require_policy(config.policy)
    sources = [open_source(path) for path in config.data]
    cameras = config.cameras or tuple(k.removeprefix(IMAGES) for k in sources[0].features if k.startswith(IMAGES))
    robot = sources[0].meta.robot_type
    spec = load_robot(robot) if robot else None
    torch.set_num_threads(config.threads)
    table = FrameTable(sources, cameras, threads=max(2, config.threads))
    set_seed(config.seed)
    gripper = spec.gripper if spec else ()
    if config.init:
        built = continue_from(Path(config.init), config.options, table, out, config.device)
    else:
        built = build_policy(config.policy, config.options, sources, table, gripper, out, config.device)
    trainer = _Trainer(config, built, table, run)
    atomic_write_text(run / CONFIG, config.to_json())
    if resume:
        trainer.restore()
    with stop_on_signals() as stopped:
        finished = trainer.run_to_end(stopped)
    if not finished:
        raise KeyboardInterrupt
    plot_loss(run / LOG, run / "loss.png")
    write_bundle(out, config, built, trainer.averaged(), sources, cameras, spec, trainer.summary())
    return out


class _Trainer:
    def __init__(self, config: TrainConfig, built: Built, table: FrameTable, run: Path) -> None:
        self._config, self._built, self._table, self._run = config, built, table, run
        mixed = config.precision if config.precision != "fp32" else "no"
        self._accelerator = Accelerator(mixed_precision=mixed, cpu=config.device == "cpu")
        policy = built.policy
        preset = policy.config.get_optimizer_preset()
        self._clip = float(getattr(preset, "grad_clip_norm", 0.0) or 0.0)
        optimizer = preset.build(policy.get_optim_params())
        if isinstance(optimizer, torch.optim.AdamW):
            # One kernel for all parameters; on a small policy the loop over them costs as much as the head.
            for group in optimizer.param_groups:
                group["fused"] = True
        schedule = policy.config.get_scheduler_preset()
        if schedule is not None and hasattr(schedule, "num_decay_steps"):
            schedule.num_decay_steps = config.steps
            schedule.num_warmup_steps = min(schedule.num_warmup_steps, max(1, config.steps // 10))
        self._scheduler = schedule.build(optimizer, config.steps) if schedule is not None else None
        self._model, self._optimizer = self._accelerator.prepare(policy, optimizer)
        self._average = (
            AveragedModel(
                self._accelerator.unwrap_model(self._model), avg_fn=_warm_average(config.ema), use_buffers=True
            )
            if config.ema
            else None
        )
        self._sampler = EpochSampler(len(table), config.batch_size * self._accelerator.num_processes, config.seed)
        self._step = 0
        self._sums = {"loss": 0.0, "count": 0.0}
        self._seconds = 0.0

    def restore(self) -> None:
        folders = checkpoint_folders(self._run)
        if not folders:
            return
        self._step, self._sums = load_checkpoint(
            folders[-1], self._policy, self._average, self._optimizer.optimizer, self._scheduler
        )
        _truncate_log(self._run / LOG, self._step)

    @property
    def _policy(self) -> Any:
        return self._accelerator.unwrap_model(self._model)

    def averaged(self) -> Any:
        """The policy with the averaged weights where there are any."""
        policy = self._policy
        if self._average is not None:
            policy.load_state_dict(self._average.module.state_dict())
        return policy.eval()

    def summary(self) -> dict[str, Any]:
        steps = self._config.steps
        return {"steps": steps, "samples": steps * self._config.batch_size, "frames": len(self._table)}

    def run_to_end(self, stopped: threading.Event) -> bool:
        """Steps until done (True) or asked to stop (False, with a checkpoint)."""
        config = self._config
        self._model.train()
        with progress_bar() as bar, (self._run / LOG).open("a") as log:
            task = bar.add_task(f"train {config.policy}", total=config.steps, completed=self._step, note="")
            since = time.monotonic()
            while self._step < config.steps:
                loss = self._one_step()
                self._sums["loss"] += loss
                self._sums["count"] += 1
                if self._step % config.log_every == 0 or self._step == config.steps:
                    since = self._report(log, since, bar, task)
                else:
                    bar.update(task, completed=self._step)
                if stopped.is_set() or self._step % config.checkpoint_every == 0 or self._step == config.steps:
                    self._save()
                if stopped.is_set() and self._step < config.steps:
                    return False
        return True

    def _one_step(self) -> float:
        offsets = self._policy.config
        every = self._sampler.indices(self._step)
        mine = every[self._accelerator.process_index :: self._accelerator.num_processes]
        batch = self._table.batch(mine, offsets.action_delta_indices, offsets.observation_delta_indices)
        batch = self._built.preprocessor(batch)
        with self._accelerator.autocast():
            loss, _ = self._model(batch)
        if not bool(torch.isfinite(loss)):
            raise EmmaError(
                f"the loss is {float(loss)} at step {self._step}",
                found="a diverged training",
                expected="a finite loss",
                fix="lower the learning rate (--set optimizer_lr=...) and resume from the last checkpoint",
            )
        self._accelerator.backward(loss)
        if self._clip > 0:
            self._accelerator.clip_grad_norm_(self._model.parameters(), self._clip)
        self._optimizer.step()
        self._optimizer.zero_grad()
        if self._scheduler is not None:
            self._scheduler.step()
        if self._average is not None:
            self._average.update_parameters(self._policy)
        self._step += 1
        return float(loss.detach())

    def _report(self, log: Any, since: float, bar: Any, task: Any) -> float:
        now = time.monotonic()
        count = self._sums["count"]
        rate = count * self._config.batch_size / max(now - since, 1e-9)
        row = {
            "step": self._step,
            "loss": round(self._sums["loss"] / count, 6),
            "lr": self._optimizer.param_groups[0]["lr"],
            "samples_per_s": round(rate, 1),
        }
        log.write(json.dumps(row) + "\n")
        log.flush()
        bar.update(task, completed=self._step, note=f"loss {row['loss']:.4f}  {rate:.0f} samples/s")
        self._sums = {"loss": 0.0, "count": 0.0}
        return now

    def _save(self) -> None:
        if self._accelerator.is_main_process:
            save_checkpoint(
                self._run,
                self._step,
                self._policy,
                self._average,
                self._optimizer.optimizer,
                self._scheduler,
                self._sums,
            )


def _warm_average(decay: float) -> Any:
    """Exponential average whose memory grows to `decay`, so that the first random weights are soon forgotten."""

    def average(mean: torch.Tensor, value: torch.Tensor, count: torch.Tensor | int) -> torch.Tensor:
        n = float(count)
        return torch.lerp(mean, value.to(mean.dtype), 1.0 - min(decay, (1.0 + n) / (10.0 + n)))

    return average


def _claim(run: Path, config: TrainConfig, resume: bool) -> None:
    file = run / CONFIG
    if resume:
        if not file.is_file():
            raise EmmaError(f"nothing to resume in {run.parent}", found=f"no {file}", expected="a run that was started")
        config.require_same(file)
    elif checkpoint_folders(run):
        raise EmmaError(
            f"{run.parent} already holds a training run",
            found=f"checkpoints in {run}",
            expected="a new folder",
            fix="go on with --resume, or choose another --out",
        )


def _truncate_log(file: Path, step: int) -> None:
    """Drop what was logged after the checkpoint: those steps are done again."""
    if file.is_file():
        rows = [line for line in file.read_text().splitlines(keepends=True) if json.loads(line)["step"] <= step]
        atomic_write_text(file, "".join(rows))


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, for the length of the block; outside the main thread nothing is changed."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = {number: signal.signal(number, lambda *_: event.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def mean_loss(log: Path, last: int = 10) -> float:
    """Mean of the last rows of a run's log."""
    rows = [json.loads(line)["loss"] for line in log.read_text().splitlines()[-last:]]
    return float(np.mean(rows))
