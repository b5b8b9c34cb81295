"""Policies of the measurement and their trials; what is done is kept."""

from collections.abc import Callable, Sequence
from pathlib import Path

from emma.bench.cells import Cells
from emma.bench.human_data import arm_data, human_data
from emma.bench.human_plan import CAMERA, TARGETS, Axis, Condition, Plan
from emma.policy.bundle import load_bundle
from emma.policy.exported import weights_of
from emma.policy.runtime import PolicyRuntime, open_runtime
from emma.robots.spec import RobotSpec
from emma.sim.arm import DeskArm
from emma.sim.evaluate import EvalConfig, run_episode
from emma.sim.options import FIRST_SEED

Say = Callable[[str], None]
BATCH = 10
SOURCE = Axis(name="source", task="place", look="source")


def pretrained(plan: Plan, spec: RobotSpec, level: int, seed: int, say: Say) -> Path | None:
    """A policy of robot data alone at a level of diversity; None at 0 %: random weights."""
    if level == 0:
        return None
    out = plan.root / "policies" / f"pretrained-{level}-{seed}"
    return _train(plan, out, [str(arm_data(plan, spec, "pretrain", level))], plan.pretrain, seed, say=say)


def tuned(plan: Plan, spec: RobotSpec, level: int, seed: int, condition: Condition, say: Say) -> Path:
    """A pretrained policy after fine-tuning on the robot's data and the condition's."""
    out = plan.root / "policies" / f"{condition.name}-{level}-{seed}"
    data = [str(arm_data(plan, spec, "robot"))]
    if condition.data == "arm":
        data.append(f"generated:{arm_data(plan, spec, 'arm')}")
    elif condition.data != "robot":
        data.append(f"human:{human_data(plan, condition.data)}")
    # Absolute actions have statistics of their own, so this control begins from random weights.
    init = None if condition.absolute else pretrained(plan, spec, level, seed, say)
    ratio = condition.ratio if len(data) > 1 else None
    space = "ee-absolute" if condition.absolute else "ee"
    return _train(plan, out, data, plan.steps, seed, init=init, ratio=ratio, space=space, say=say)


def source_policy(plan: Plan, spec: RobotSpec, space: str, seed: int, say: Say) -> Path:
    """A policy of the robot's own data, with joint or end-effector actions."""
    out = plan.root / "policies" / f"source-{space}-{seed}"
    return _train(plan, out, [str(arm_data(plan, spec, "robot"))], plan.pretrain, seed, space=space, say=say)


def _train(
    plan: Plan,
    out: Path,
    data: Sequence[str],
    steps: int,
    seed: int,
    *,
    say: Say,
    init: Path | None = None,
    ratio: float | None = None,
    space: str = "ee",
) -> Path:
    from emma.training.config import TrainConfig
    from emma.training.loop import CONFIG, RUN, train

    if (out / "emma.json").is_file():
        return out
    say(f"train {out.name}")
    config = TrainConfig(
        data=tuple(data),
        policy="spatial_flow",
        steps=steps,
        batch_size=plan.batch_size,
        seed=seed,
        cameras=(CAMERA,),
        sampler="uniform" if ratio is None else "fixmix",
        ratio=ratio,
        init="" if init is None else str(init),
        action_space=space,
        checkpoint_every=max(1, steps // 10),
    )
    return train(config, out, resume=(out / RUN / CONFIG).is_file())


def trials(plan: Plan, spec: RobotSpec, bundle: Path, axis: Axis, say: Say) -> list[bool]:
    """Whether each episode of an axis succeeded: words the policy has not read, cubes where no training put them."""
    key = {"weights": weights_of(bundle), "axis": axis.name, "timeout_s": plan.timeout_s}
    cells = Cells(f"{bundle.name}-{axis.name}", key, plan.root / "trials")
    results: list[bool] = []
    opened: list[tuple[DeskArm, PolicyRuntime]] = []
    try:
        for first in range(0, plan.episodes, BATCH):
            numbers = range(first, min(first + BATCH, plan.episodes))
            name = f"{first:04d}-{len(numbers)}"
            kept = cells.get(name)
            if kept is None:
                if not opened:
                    say(f"trials of {bundle.name}: {axis.name}")
                    opened.append((DeskArm(spec, cameras=(CAMERA,)), open_runtime(load_bundle(bundle))))
                sim, runtime = opened[0]
                kept = {"success": [_trial(plan, sim, runtime, axis, number) for number in numbers]}
                cells.put(name, kept)
            results += kept["success"]
    finally:
        for sim, runtime in opened:
            sim.close()
            runtime.close()
    return results


def _trial(plan: Plan, sim: DeskArm, runtime: PolicyRuntime, axis: Axis, number: int) -> bool:
    seed, target = FIRST_SEED + number, TARGETS[number % 2]
    sim.set_domain(axis.domain(seed, target))
    config = EvalConfig(episodes=1, timeout_s=plan.timeout_s, task=axis.task)
    return run_episode(sim, runtime, sim.spec.fps, seed, target, config).success
