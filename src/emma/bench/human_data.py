"""The datasets of the measurement: the arm's through the simulator, the hands' as EgoDex files through the import."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emma.bench.hand_files import Tracker, write_egodex
from emma.bench.human_plan import AXES, CAMERA, SLOW_DOWN, TARGETS, Axis, Plan, combinations
from emma.datasets.writer import DatasetWriter
from emma.errors import EmmaError
from emma.files import atomic_write_text
from emma.human.importing import VALID, ImportConfig, import_recordings
from emma.robots.spec import RobotSpec
from emma.sim.arm import DeskArm
from emma.sim.demonstrations import demonstrate
from emma.sim.domains import Domain
from emma.sim.hand import HandEpisode, HandSim
from emma.sim.hand_model import SKINS, tool_from_hand
from emma.sim.tasks import DEFAULT

NOISE = 0.02
# Seeds of one dataset do not meet those of another, or of the trials.
PRETRAIN, ROBOT, ARM, HANDS = 0, 3000, 5000, 7000
DONE = "done.txt"
# Numbers of a group that a variant leaves out.
LEFT_OUT = {"no_gripper": slice(9, 10), "translation": slice(3, 10)}
Job = tuple[Domain | str, str, str]


def arm_data(plan: Plan, spec: RobotSpec, name: str, level: int = 0) -> Path:
    """A dataset of the arm's demonstrations: `pretrain` at a level, `robot` (what it can do, and tidying by chance) or
    `arm` (the axes, as a person shows them). Episodes that are there stay."""
    jobs, first = _arm_jobs(plan, name, level)
    out = plan.root / "data" / (f"{name}-{level}" if name == "pretrain" else name)
    with DatasetWriter(out, spec, cameras=(CAMERA,), depth=False) as writer:
        there = len(writer.provenance)
        missing = jobs[there:]
        if not missing:
            return out
        with DeskArm(spec, cameras=(CAMERA,)) as sim:
            for number, (domain, task, target) in enumerate(missing, there):
                sim.set_task(task)
                sim.set_domain(domain)
                seed, episode = first + 40 * number, None
                while episode is None:
                    episode = demonstrate(sim, seed, target, noise=NOISE, fps=spec.fps, depth=False)
                    seed += 1
                rows = zip(episode.observations, episode.action, strict=True)
                origin = {
                    "source": "simulator",
                    "embodiment": spec.name,
                    "seed": episode.seed,
                    "task": task,
                    "target": target,
                }
                writer.add_episode(rows, episode.instruction, origin)
    return out


def _arm_jobs(plan: Plan, name: str, level: int) -> tuple[list[Job], int]:
    if name == "pretrain":
        mixed = combinations(level)
        return [mixed[i % len(mixed)] for i in range(plan.demos)], PRETRAIN
    if name == "robot":
        rng = np.random.default_rng(ROBOT)
        tidy = AXES[-1]
        jobs: list[Job] = []
        for i in range(plan.demos):
            target, other = TARGETS[i // 2 % 2], TARGETS[int(rng.integers(2))]
            # Half of them place as asked; the others tidy whatever lies there to wherever it comes to mind.
            jobs.append(("source", DEFAULT, target) if i % 2 == 0 else (tidy.domain(i, other), tidy.task, target))
        return jobs, ROBOT
    if name == "arm":
        axes = [axis for axis in AXES for _ in range(plan.hands)]
        targets = [TARGETS[i % 2] for i in range(len(axes))]
        return [(a.domain(i, t), a.task, t) for i, (a, t) in enumerate(zip(axes, targets, strict=True))], ARM
    raise EmmaError("no such dataset", found=name, expected="pretrain, robot or arm")


def human_data(plan: Plan, variant: str) -> Path:
    """The hands of every axis as a dataset: human, shuffled, no_gripper or translation."""
    out = plan.root / "data" / variant
    if variant in LEFT_OUT:
        return _without(human_data(plan, "human"), out, LEFT_OUT[variant])
    files = plan.root / "recordings" / variant
    write_recordings(plan, files, shuffled=variant == "shuffled")
    config = ImportConfig(
        hands=("right",),
        camera=CAMERA,
        size=(96, 96),
        slow_down=SLOW_DOWN,
        tool_from_hand=tool_from_hand("right"),
    )
    results = import_recordings(files, out, config)
    if refused := [result for result in results if result.outcome == "refused"]:
        raise EmmaError(f"{len(refused)} recordings were refused", found=refused[0].reason)
    return out


def write_recordings(plan: Plan, files: Path, *, shuffled: bool = False) -> None:
    """EgoDex files of the axes, named by axis and number; what is there stays. shuffled: hands of other episodes."""
    for axis in AXES:
        missing = [i for i in range(plan.hands) if not (files / f"{axis.name}-{i:04d}.hdf5").is_file()]
        if not missing:
            continue
        for i, episode in zip(missing, _hands(axis, missing), strict=True):
            shown = next(_hands(axis, [plan.hands + i + 1])) if shuffled else episode
            path = files / f"{axis.name}-{i:04d}.hdf5"
            written = write_egodex(path.with_name(f".{path.name}"), _mixed(episode, shown), Tracker(), seed=HANDS + i)
            written.with_suffix(".mp4").rename(path.with_suffix(".mp4"))
            written.rename(path)


def _hands(axis: Axis, numbers: list[int]) -> Iterator[HandEpisode]:
    """Successful episodes of one axis; people of all skins."""
    sims: dict[int, HandSim] = {}
    try:
        for i in numbers:
            skin = i % len(SKINS)
            sim = sims[skin] = sims.get(skin) or HandSim(skin=SKINS[skin])
            target = TARGETS[i % 2]
            sim.set_domain(axis.domain(i, target))
            for seed in count(HANDS + 40 * i):
                episode = sim.episode(seed, target, task=axis.task)
                if episode.success:
                    break
            yield episode
    finally:
        for sim in sims.values():
            sim.close()


def _mixed(episode: HandEpisode, hands: HandEpisode) -> HandEpisode:
    """The pictures of one episode with the hands of another, as long as both last."""
    if episode is hands:
        return episode
    rows = min(len(episode.times_s), len(hands.times_s))
    return replace(
        episode,
        times_s=episode.times_s[:rows],
        points=hands.points[:rows],
        camera=episode.camera[:rows],
        images=episode.images[:rows],
        tool=hands.tool[:rows],
        opening=hands.opening[:rows],
    )


def _without(dataset: Path, out: Path, numbers: slice) -> Path:
    """A copy of a dataset in which some numbers of each action do not count."""
    if (out / DONE).is_file():
        return out
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(dataset, out)
    for file in sorted((out / "data").rglob("*.parquet")):
        table = pq.read_table(file)
        at = table.schema.get_field_index(VALID)
        rows = np.array(table[VALID].to_pylist(), np.float32)
        rows[:, numbers] = 0.0
        column = pa.array(rows.tolist(), type=table.schema.field(at).type)
        pq.write_table(table.set_column(at, table.schema.field(at), column), file)
    atomic_write_text(out / DONE, "")
    return out
