"""One training run, step by step: draw, loss, gradient, average, checkpoint. Everything it does is resumable."""

import json
import math
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from torch.optim.swa_utils import AveragedModel

from emma import signs
from emma.errors import EmmaError
from emma.files import atomic_write_text, read_json_lines
from emma.progress import progress_bar
from emma.robots.spec import RobotSpec
from emma.training.adaptive import Adaptive
from emma.training.ahead import Ahead
from emma.training.augment import make_augmentation
from emma.training.checkpoints import checkpoint_folders, load_checkpoint, remove_torn, save_checkpoint
from emma.training.config import EE_ABSOLUTE, TrainConfig
from emma.training.draws import frame_sampler
from emma.training.embodiments import HUMAN, OwnScale
from emma.training.frames import IMAGES, FrameTable
from emma.training.masks import action_mask
from emma.training.policies import MIN_STD, Built, require_loss_by_sample

LOG = "log.jsonl"
# A checkpoint at least as often, whatever a step takes: more than that no interruption costs.
CHECKPOINT_S = 600.0
# What is worth a line before a training begins, or after its first step.
LARGE_BATCH, LARGE_GB, LONG_S = 256 << 20, 2.0, 120.0


def make_accelerator(config: TrainConfig) -> Accelerator:
    """One process, or as many as `accelerate launch` has started."""
    if config.device.startswith("cuda") and not torch.cuda.is_available():
        raise EmmaError(
            "there is no GPU to train on",
            found=f"--device {config.device}, and torch sees no CUDA device",
            expected="a GPU with its driver",
            fix="leave --device out to train on the processor",
        )
    # A policy may leave parameters out of a step; DDP must be told so.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    mixed = config.precision if config.precision != "fp32" else "no"
    return Accelerator(mixed_precision=mixed, cpu=config.device == "cpu", kwargs_handlers=[unused])


class Trainer:
    def __init__(
        self,
        config: TrainConfig,
        built: Built,
        table: FrameTable,
        spec: RobotSpec | None,
        run: Path,
        accelerator: Accelerator,
    ) -> None:
        self._config, self._built, self._table, self._run = config, built, table, run
        self._accelerator = accelerator
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
        self._model, self._optimizer = accelerator.prepare(policy, optimizer)
        averaged = _warm_average(config.ema)
        self._average = AveragedModel(self._policy, avg_fn=averaged, use_buffers=True) if config.ema else None
        self._mask = action_mask(policy, table)
        self._own_scale: OwnScale | None = None
        if config.normalisation == "embodiment" and any(source.kind == HUMAN for source in table.sources):
            relative = config.action_space != EE_ABSOLUTE
            offsets = policy.config.action_delta_indices
            self._own_scale = OwnScale(table, built.preprocessor, offsets, relative=relative, floor=MIN_STD)
        self._images = [IMAGES + camera for camera in table.cameras]
        self._augment = make_augmentation(config.augment, config.seed, accelerator.process_index)
        processes, drop_last = accelerator.num_processes, int(getattr(policy.config, "drop_n_last_frames", 0) or 0)
        self._draws = frame_sampler(config, table, processes, drop_last)
        self._sampler = self._draws.sampler
        if accelerator.is_main_process and (table.interventions.any() or config.interventions != "all"):
            say(
                f"{int(table.interventions.sum())} of {len(table)} frames are interventions, "
                f"{100 * self._draws.corrected:.1f} % of the samples (--interventions {config.interventions})"
            )
        self._adaptive: Adaptive | None = None
        if config.sampler in ("adamix", "adamix-loss"):
            self._adaptive = Adaptive(config, table, built, spec, self._sampler, accelerator, run, say)
        self._weighter = self._adaptive.weighter if self._adaptive is not None else None
        if self._weighter is not None:
            require_loss_by_sample(policy)
        self._step = 0
        self._sums = {"loss": 0.0, "count": 0.0}
        self._ahead = Ahead(table, self._mine, policy.config.observation_delta_indices, config.steps)
        if processes > 1:
            # The same noise in every process would make the batch smaller than it is.
            torch.manual_seed(
                int(np.random.SeedSequence([config.seed, accelerator.process_index]).generate_state(1)[0])
            )

    def restore(self) -> None:
        """Go back to the newest checkpoint, or to the start without one; logs forget what came after it."""
        folders = checkpoint_folders(self._run)
        if self._accelerator.is_main_process:
            remove_torn(self._run)
        if folders:
            self._step, self._sums = load_checkpoint(
                folders[-1], self._policy, self._average, self._optimizer.optimizer, self._scheduler, self._accelerator
            )
            if self._adaptive is not None:
                self._adaptive.load(folders[-1])

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
        """What the bundle says about its training, apart from its data and configuration."""
        steps, config = self._config.steps, self._config
        samples = steps * config.batch_size * self._accelerator.num_processes
        summary = {"steps": steps, "samples": samples, "frames": len(self._table), "shares": self._draws.shares}
        summary["interventions"] = {
            "drawn": config.interventions,
            "frames": int(self._table.interventions.sum()),
            "share": self._draws.corrected,
        }
        if self._adaptive is not None:
            summary["adamix_resets"] = self._adaptive.state.resets
        return summary

    def run_to_end(self, stopped: Callable[[], bool]) -> bool:
        """Steps until done (True) or asked to stop (False, with a checkpoint)."""
        try:
            return self._run_steps(stopped)
        finally:
            self._ahead.close()

    def _run_steps(self, stopped: Callable[[], bool]) -> bool:
        config = self._config
        self._model.train()
        if self._accelerator.is_main_process:
            _truncate_log(self._run / LOG, self._step)
        if self._adaptive is not None:
            self._adaptive.forget_after(self._step)
        pictures = 4 * config.batch_size * self._table.frame_values
        if pictures > LARGE_BATCH and self._accelerator.is_main_process:
            say(
                f"a batch of {config.batch_size} holds {pictures / 1e9:.1f} GB of pictures, and a step needs several "
                "times that; less with a smaller --batch-size"
            )
        with progress_bar() as bar, self._log() as log:
            task = bar.add_task(f"train {config.policy}", total=config.steps, completed=self._step, note="")
            since = saved = began = time.monotonic()
            first, self._ahead.waited_s = self._step, 0.0
            while self._step < config.steps:
                loss = self.one_step()
                if self._step == first + 1:
                    self._foretell(time.monotonic() - began)
                self._sums["loss"] += loss
                self._sums["count"] += 1
                if self._step % config.log_every == 0 or self._step == config.steps:
                    since = self._report(log, since, bar, task)
                else:
                    bar.update(task, completed=self._step)
                stop, due = self._anyone(stopped(), time.monotonic() - saved > CHECKPOINT_S)
                if stop or due or self._step % config.checkpoint_every == 0 or self._step == config.steps:
                    self._save()
                    saved = time.monotonic()
                if stop and self._step < config.steps:
                    return False
        return True

    def one_step(self) -> float:
        step = self._step
        if self._adaptive is not None:
            self._adaptive.before(step, self._average.module if self._average is not None else self._policy)
        loss = self._loss(step)
        value = self._mean(loss)
        if self._adaptive is not None and self._adaptive.after(step, value) and not math.isfinite(value):
            # Nothing is lost yet: the same step again, with uniform draws.
            loss = self._loss(step)
            value = self._mean(loss)
        if not math.isfinite(value):
            raise EmmaError(
                f"the loss is {value} at step {step}",
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
        return value

    def _loss(self, step: int) -> torch.Tensor:
        config = self._policy.config
        mine, pictures = self._ahead.take(step)
        batch = self._table.batch(mine, config.action_delta_indices, config.observation_delta_indices, pictures)
        if self._augment is not None:
            self._augment(batch, self._images, step)
        self._mask(batch)
        batch = self._built.preprocessor(batch)
        if self._own_scale is not None:
            self._own_scale(batch, mine)
        with self._accelerator.autocast():
            if self._weighter is None:
                loss: torch.Tensor = self._model(batch)[0]
                return loss
            weights, _ = self._weighter.compute_batch_weights({"index": mine})
            losses = self._model(batch, reduction="none")[0]
            return (losses * weights).sum() / weights.sum()

    def _mine(self, step: int) -> np.ndarray:
        """The frames of step `step` that this process takes."""
        return self._sampler.indices(step)[self._accelerator.process_index :: self._accelerator.num_processes]

    def _mean(self, loss: torch.Tensor) -> float:
        """The loss over all processes: the same in each, so that all decide alike."""
        if self._accelerator.num_processes == 1:
            return float(loss.detach())
        return float(self._accelerator.reduce(loss.detach().float(), "mean"))

    def _anyone(self, *mine: bool) -> Sequence[bool]:
        """Whether each holds in any process."""
        if self._accelerator.num_processes == 1:
            return mine
        every = torch.tensor(mine, dtype=torch.float32, device=self._accelerator.device)
        counts = self._accelerator.reduce(every, "sum")
        return [bool(count > 0) for count in counts]

    def _foretell(self, step_s: float) -> None:
        """What the training takes, judged by its first step, where that is much."""
        if not self._accelerator.is_main_process:
            return
        left_s = (self._config.steps - self._step) * step_s
        peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
        if left_s > LONG_S or peak_gb > LARGE_GB:
            steps = self._config.steps - self._step
            say(
                f"the first step took {step_s:.1f} s: {steps} more take about {signs.clock(left_s)}; "
                f"{peak_gb:.1f} GB of memory so far"
            )

    def _log(self) -> Any:
        return (self._run / LOG if self._accelerator.is_main_process else Path("/dev/null")).open("a")

    def _report(self, log: Any, since: float, bar: Any, task: Any) -> float:
        now = time.monotonic()
        count = self._sums["count"]
        rate = count * self._config.batch_size * self._accelerator.num_processes / max(now - since, 1e-9)
        row = {
            "step": self._step,
            "loss": round(self._sums["loss"] / count, 6),
            "lr": self._optimizer.param_groups[0]["lr"],
            "samples_per_s": round(rate, 1),
            "step_ms": round(1e3 * (now - since) / count, 1),
            "data_ms": round(1e3 * self._ahead.waited_s / count, 1),
        }
        share, self._ahead.waited_s = self._ahead.waited_s / max(now - since, 1e-9), 0.0
        log.write(json.dumps(row) + "\n")
        log.flush()
        bar.update(task, completed=self._step, note=f"loss {row['loss']:.4f}  {rate:.0f} samples/s  data {share:.0%}")
        self._sums = {"loss": 0.0, "count": 0.0}
        return now

    def _save(self) -> None:
        save_checkpoint(
            self._run,
            self._step,
            self._policy,
            self._average,
            self._optimizer.optimizer,
            self._scheduler,
            self._sums,
            self._accelerator,
            self._adaptive.save if self._adaptive is not None else None,
        )


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _warm_average(decay: float) -> Any:
    """Exponential average whose memory grows to `decay`, so that the first random weights are soon forgotten."""

    def average(mean: torch.Tensor, value: torch.Tensor, count: torch.Tensor | int) -> torch.Tensor:
        if not mean.is_floating_point():
            # Indices and counters have no average.
            return value
        n = float(count)
        return torch.lerp(mean, value.to(mean.dtype), 1.0 - min(decay, (1.0 + n) / (10.0 + n)))

    return average


def _truncate_log(file: Path, step: int) -> None:
    """Drop what was logged after the checkpoint: those steps are done again."""
    if file.is_file():
        rows = [row for row in read_json_lines(file) if row["step"] <= step]
        atomic_write_text(file, "".join(json.dumps(row) + "\n" for row in rows))
