"""The train loop: frames to loss to weights, for every LeRobot policy class, resumable to the bit on CPU."""

import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lerobot.utils.random_utils import set_seed

from emma import interrupts, signs
from emma.device import choose_device
from emma.errors import EmmaError
from emma.files import atomic_write_text, room_for
from emma.policy.end_effector.space import EndEffectorSpace
from emma.robots.spec import RobotSpec, list_robots, load_robot
from emma.training.bundles import write_bundle
from emma.training.checkpoints import checkpoint_folders
from emma.training.config import EE_ABSOLUTE, JOINT, TrainConfig
from emma.training.embodiments import HUMAN
from emma.training.frames import FrameTable
from emma.training.initial import continue_from
from emma.training.mixture import KINDS, parse_data
from emma.training.plots import plot_loss
from emma.training.policies import build_policy, require_policy
from emma.training.sources import Source, fitted, only, open_source
from emma.training.trainer import LOG, Trainer, make_accelerator, say

CONFIG, RUN = "train.json", "training"


def train(config: TrainConfig, out: Path, *, resume: bool = False) -> Path:
    """Train and write a policy bundle to `out`; its run (checkpoints, log, plot) is kept in `out/training`.

    Interrupted by SIGINT or SIGTERM it saves a checkpoint after the step in flight and raises KeyboardInterrupt. A step
    or a checkpoint that takes longer than a process has for its end is lost, the checkpoint before is not. `resume`
    goes on from the newest one to the same weights as without the interruption (CPU). Raises EmmaError for bad input
    and for a full disk, which costs what came after the newest checkpoint.
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
    with signs.doing("reading the datasets"):
        sources, spec = _sources(config, out)
    cameras = config.cameras or tuple(sources[0].cameras)
    space = EndEffectorSpace(spec) if spec is not None and config.action_space != JOINT else None
    torch.set_num_threads(config.threads)
    with signs.doing("reading the datasets"):
        table = _table(config, sources, cameras, space)
    accelerator = make_accelerator(config)
    set_seed(config.seed)
    gripper = spec.gripper if spec else ()
    # One process at a time: a backbone's files go to the same place.
    with accelerator.main_process_first(), signs.doing("building the policy"):
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
    with stop_on_signals(run) as stopped:
        finished = trainer.run_to_end(stopped)
    if not finished:
        raise interrupts.Interrupted(interrupts.came() or signal.SIGINT)
    if accelerator.is_main_process:
        plot_loss(run / LOG, run / "loss.png")
        write_bundle(out, config, built, trainer.averaged(), table, spec, trainer.summary())
    accelerator.wait_for_everyone()
    return out


def _sources(config: TrainConfig, out: Path) -> tuple[list[Source], RobotSpec | None]:
    """The datasets, made to fit the robot where it is known."""
    # Robot, joint names and cameras are those of the first: real data where there is any.
    data = sorted(config.data, key=lambda path: KINDS.index(parse_data(path)[0]))
    opened = [open_source(path) for path in data]
    for source in opened:
        if source.root == out.resolve() or source.root in out.resolve().parents:
            raise EmmaError(
                "the bundle would be written into a dataset",
                found=f"--out {out}",
                expected=f"a folder outside of {source.root}",
                fix="choose another --out",
            )
    spec = _robot(config, opened)
    if config.cameras:
        opened = [only(source, config.cameras, config.renamed) for source in opened]
    sources = fitted(opened, spec, renamed=config.renamed, units=config.units)
    for note in dict.fromkeys(note for source in sources for note in source.notes):
        say(f"assumed: {note}")
    return sources, spec


def _robot(config: TrainConfig, sources: Sequence[Source]) -> RobotSpec | None:
    """The robot whose actions are learnt: the one asked for, else the first dataset's."""
    if config.robot:
        return load_robot(config.robot)
    name = sources[0].meta.robot_type
    if config.action_space != JOINT and sources[0].kind == HUMAN:
        raise EmmaError(
            "no robot to learn for",
            found=f"{name or 'unnamed'} data alone",
            expected="the robot whose tools the actions move",
            fix="add --robot NAME, or robot data",
        )
    if name and (name in list_robots() or config.action_space != JOINT):
        return load_robot(name)
    if name:
        say(f"robot {name} is not known here: joints and units are not compared (--robot NAME)")
    return None


def _table(
    config: TrainConfig, sources: Sequence[Source], cameras: Sequence[str], space: EndEffectorSpace | None
) -> FrameTable:
    workers = config.workers or len(os.sched_getaffinity(0))
    memory = None if config.cache_gb is None else int(config.cache_gb * 2**30)
    frames = sum(source.meta.total_frames for source in sources)
    say(f"reading {frames} frames of {len(sources)} datasets, cameras {', '.join(cameras) or 'none'}")
    table = FrameTable(sources, cameras, space=space, threads=max(2, workers), memory_bytes=memory)
    if cameras:
        size = sum(3 * h * w for h, w in (sources[0].size(camera) for camera in cameras))
        rest = "" if table.cached == frames else "; the others are decoded ahead of their step (--cache GB)"
        say(f"pictures: {table.cached} of {frames} frames stay decoded, {table.cached * size / 2**30:.2f} GB{rest}")
    return table


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
def stop_on_signals(run: Path) -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM came within the block; outside the main thread nothing is changed."""
    # Not an event: a second signal may interrupt the handling of the first, and would wait for its lock forever.
    came: list[int] = []
    with interrupts.answering(came.append), interrupts.keeping(lambda: _kept(run)):
        yield lambda: bool(came)


def _kept(run: Path) -> str:
    folders = checkpoint_folders(run)
    if not folders:
        return "no checkpoint was saved yet"
    return f"the checkpoint of step {int(folders[-1].name)} is kept, --resume goes on from it"


def mean_loss(log: Path, last: int = 10) -> float:
    """Mean of the last rows of a run's log."""
    rows = [json.loads(line)["loss"] for line in log.read_text().splitlines()[-last:]]
    return float(np.mean(rows))
