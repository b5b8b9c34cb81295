"""What a step, a clip and an episode take on this machine: measured before hours are spent."""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from emma.bench.generalisation.data import Data, generate, load_generator
from emma.bench.generalisation.jobs import Job, run_jobs
from emma.bench.generalisation.plan import CAMERAS, ROWS, Budget, digest
from emma.bench.generalisation.training import LOG, RUN, Policy, make
from emma.files import atomic_write_text
from emma.provenance import machine
from emma.robots.spec import RobotSpec, load_robot

FILE = "costs"
# Steps that are timed, after as many that warm up.
STEPS = 3


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Seconds in one process while `workers` of them are at work. load_s: a training's frames, per thousand.

    step_s: augmentation -> an optimiser step; judge_s: AdaMix, a thousand judged frames; episode_s: a closed-loop
    episode that fails, which takes longest.
    """

    workers: int
    demonstration_s: float
    true_s: float
    clip_s: float
    load_s: float
    step_s: dict[str, float]
    judge_s: float
    export_s: float
    episode_s: float

    def samples_per_s(self, batch_size: int) -> float:
        """Of a plain training."""
        return batch_size / self.step_s["none"]


# Of two processes on two hyperthreads. Only how they compare counts: a forecast goes on from the time that was needed.
TYPICAL = Costs(
    workers=2,
    demonstration_s=2.5,
    true_s=1.3,
    clip_s=22.0,
    load_s=1.5,
    step_s={"none": 0.25, "jitter": 0.6, "randconv": 0.3},
    judge_s=3.0,
    export_s=15.0,
    episode_s=0.6,
)


def measured_costs(budget: Budget) -> Costs:
    """Measured once in a workspace and machine, by as many processes at once as will be at work; then kept."""
    here = machine()
    key = {name: here[name] for name in ("processor", "cores", "gpu")} | {
        name: getattr(budget, name)
        for name in ("workers", "policy", "options", "batch_size", "precision", "device", "timeout_s", "generator")
    }
    key |= budget.other_task
    folder = budget.root / f"{FILE}-{digest(key)}"
    files = [folder / f"{i}.json" for i in range(budget.workers)]
    jobs = [
        Job(
            name=f"measure costs {i}",
            work=partial(measure, budget, file),
            share=partial(_there, file),
        )
        for i, file in enumerate(files)
    ]
    run_jobs(jobs, budget.workers, budget.root / "logs")
    return mean_of([Costs(**json.loads(file.read_text())) for file in files])


def mean_of(costs: list[Costs]) -> Costs:
    """Number by number."""
    first, mean = costs[0], dict[str, Any]()
    for name in asdict(first):
        if name == "step_s":
            mean[name] = {kind: statistics.fmean(c.step_s[kind] for c in costs) for kind in first.step_s}
        else:
            mean[name] = statistics.fmean(getattr(c, name) for c in costs)
    return Costs(**{**mean, "workers": first.workers})


def measure(budget: Budget, file: Path) -> None:
    """All of `Costs`, in this process, with a tiny plan of the same parts."""
    from emma.policy.bundle import load_bundle
    from emma.policy.runtime import open_runtime
    from emma.sim.arm import DeskArm
    from emma.sim.demonstrations import demonstrate, target_of
    from emma.sim.evaluate import EvalConfig, evaluate
    from emma.training.frames import FrameTable, open_source

    spec = load_robot()
    with tempfile.TemporaryDirectory(prefix="emma-bench-") as scratch:
        tiny = replace(budget, demonstrations=1, variants=1, shards=1, steps=2 * STEPS, workspace=scratch, seeds=1)
        data = Data(budget=tiny)
        collected = _timed(partial(_collect, data.demonstrations, spec, budget.task))
        with DeskArm(spec, cameras=CAMERAS, task=budget.task) as sim:
            demonstrate(sim, 0, target_of(0), noise=0.0, fps=spec.fps, depth=False)
            true = _timed(lambda: demonstrate(sim, 0, target_of(0), noise=0.0, fps=spec.fps, depth=False))
        loading = _timed(lambda: load_generator(data.generator, {}))
        clip = _timed(lambda: generate(data, "whole", 0)) - loading
        step, policy = {}, Policy(data=data, recipe=ROWS[0], seed=0)
        for row in ROWS[:3]:
            policy = Policy(data=replace(data, budget=replace(tiny, export=False)), recipe=row, seed=0)
            make(policy)
            log = [json.loads(line) for line in (policy.folder / RUN / LOG).read_text().splitlines()]
            step[row.augment] = statistics.median(tiny.batch_size / line["samples_per_s"] for line in log[STEPS:])
        table = partial(FrameTable, [open_source(data.demonstrations)], CAMERAS)
        frames, reading = len(table()), _timed(table)
        exporting = _timed(partial(make, replace(policy, data=data))) if budget.export else 0.0
        bundle = load_bundle(policy.folder)
        runtime = open_runtime(bundle)
        with DeskArm(spec, cameras=CAMERAS) as sim:
            episode = EvalConfig(episodes=1, timeout_s=budget.timeout_s, task=budget.task)
            one = _timed(lambda: evaluate(sim, runtime, spec.fps, episode))
        runtime.close()
    costs = Costs(
        workers=budget.workers,
        demonstration_s=collected,
        true_s=true,
        clip_s=clip,
        load_s=reading * 1000 / frames,
        step_s=step,
        # A step has gradients and an optimiser, too.
        judge_s=step["none"] / budget.batch_size * 1000 / 3,
        export_s=exporting,
        episode_s=one,
    )
    atomic_write_text(file, json.dumps(asdict(costs), indent=2) + "\n")


def _collect(out: Path, spec: RobotSpec, task: str) -> None:
    """One demonstration without a pool of processes."""
    from emma.datasets.writer import DatasetWriter
    from emma.sim.demonstrations import demonstrations

    with DatasetWriter(out, spec, cameras=CAMERAS) as writer:
        for episode in demonstrations(1, task=task, cameras=CAMERAS):
            rows = zip(episode.observations, episode.action, strict=True)
            writer.add_episode(rows, episode.instruction, {"source": "simulator", "seed": episode.seed})


def _timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _there(file: Path) -> float:
    return float(file.is_file())
