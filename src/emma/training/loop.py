"""The train loop: frames to loss to weights, for every LeRobot policy class, resumable to the bit on CPU."""

import json
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lerobot.utils.random_utils import set_seed

from emma.device import choose_device
from emma.errors import EmmaError
from emma.files import atomic_write_text, room_for
from emma.policy.end_effector.space import EndEffectorSpace
from emma.robots.spec import RobotSpec, load_robot
from emma.training.bundles import write_bundle
from emma.training.checkpoints import checkpoint_folders
from emma.training.config import EE_ABSOLUTE, JOINT, TrainConfig
from emma.training.embodiments import HUMAN
from emma.training.frames import IMAGES, FrameTable, Source, open_source
from emma.training.initial import continue_from
from emma.training.mixture import KINDS
from emma.training.plots import plot_loss
from emma.training.policies import build_policy, require_policy
from emma.training.trainer import LOG, Trainer, make_accelerator

CONFIG, RUN = "train.json", "training"


def train(config: TrainConfig, out: Path, *, resume: bool = False) -> Path:
    """Train and write a policy bundle to `out`; its run (checkpoints, log, plot) is kept in `out/training`.

    Interrupted by SIGINT or SIGTERM it saves a checkpoint and raises KeyboardInterrupt; `resume` goes on from the
    newest checkpoint to the same weights as without the interruption (CPU). Raises EmmaError for bad input and for a
    full disk, which costs what came after the newest checkpoint.
    """
    with room_for(
        f"the training in {out}", "make room and go on with --resume, or begin again where nothing was saved yet"
    ):
        return _train(config, out, resume)


def _train(config: TrainConfig, out: Path, resume: bool) -> Path:
    run = out / RUN
    device = choose_device(config.device)
    print(f"device: {device}", flush=True)
    config = replace(config, device=device.name)
    _claim(run, config, resume)
    require_policy(config.policy)
    # Robot, joint names and cameras are those of the first: real data where there is any.
    sources = sorted(map(open_source, config.data), key=lambda source: KINDS.index(source.kind))
    cameras = config.cameras or tuple(k.removeprefix(IMAGES) for k in sources[0].features if k.startswith(IMAGES))
    spec = _robot(config, sources)
    space = EndEffectorSpace(spec) if spec is not None and config.action_space != JOINT else None
    torch.set_num_threads(config.threads)
    table = FrameTable(sources, cameras, space=space, threads=max(2, config.threads))
    accelerator = make_accelerator(config)
    set_seed(config.seed)
    gripper = spec.gripper if spec else ()
    # One process at a time: a backbone's files go to the same place.
    with accelerator.main_process_first():
        if config.init:
            built = continue_from(Path(config.init), config.options, table, out, config.device)
        else:
            own = config.normalisation == "embodiment" and any(source.kind != HUMAN for source in sources)
            built = build_policy(
                config.policy,
                config.options,
                sources,
                table,
                gripper,
                out,
                config.device,
                relative=config.action_space != EE_ABSOLUTE,
                kinds=[kind for kind in KINDS if kind != HUMAN] if own else KINDS,
            )
    trainer = Trainer(config, built, table, spec, run, accelerator)
    if accelerator.is_main_process:
        atomic_write_text(run / CONFIG, config.to_json())
    if resume:
        trainer.restore()
    with stop_on_signals() as stopped:
        finished = trainer.run_to_end(stopped)
    if not finished:
        raise KeyboardInterrupt
    if accelerator.is_main_process:
        plot_loss(run / LOG, run / "loss.png")
        write_bundle(out, config, built, trainer.averaged(), table, spec, trainer.summary())
    accelerator.wait_for_everyone()
    return out


def _robot(config: TrainConfig, sources: Sequence[Source]) -> RobotSpec | None:
    """The robot whose actions are learnt: the one asked for, else the first dataset's."""
    name = config.robot or sources[0].meta.robot_type
    if config.action_space == JOINT or config.robot or sources[0].kind != HUMAN:
        return load_robot(name) if name else None
    raise EmmaError(
        "no robot to learn for",
        found=f"data of {name or 'nobody'} alone",
        expected="the robot whose tools the actions move",
        fix="add --robot NAME, or robot data",
    )


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


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM came within the block; outside the main thread nothing is changed."""
    # Not an event: a second signal may interrupt the handling of the first, and would wait for its lock forever.
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: bool(came)
        return
    before = {n: signal.signal(n, lambda number, _: came.append(number)) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def mean_loss(log: Path, last: int = 10) -> float:
    """Mean of the last rows of a run's log."""
    rows = [json.loads(line)["loss"] for line in log.read_text().splitlines()[-last:]]
    return float(np.mean(rows))
