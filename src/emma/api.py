"""What `import emma` offers: the loop as functions. Heavy libraries are imported when a function is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from emma.arrays import Array
from emma.robots import DEFAULT_ROBOT
from emma.robots.spec import load_robot

if TYPE_CHECKING:
    from emma.augmentation.config import AugmentConfig, AugmentReport, ToolOptions
    from emma.conversion.config import ConvertConfig
    from emma.conversion.convert import ConvertReport
    from emma.cycle.config import ImproveConfig
    from emma.cycle.cycle import Outcome
    from emma.observation import Observation
    from emma.policy.bundle import Bundle
    from emma.policy.runtime import PolicyRuntime
    from emma.sim.collect import CollectReport
    from emma.sim.evaluate import EvalResult
    from emma.training.config import TrainConfig

__all__ = ["Policy", "augment", "collect", "convert", "evaluate", "improve", "load_policy", "load_robot", "train"]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A policy that can act. Close it, or use it in a `with` block. One thread at a time."""

    bundle: Bundle
    runtime: PolicyRuntime

    @property
    def robot(self) -> str:
        """The robot that it was trained for."""
        return self.bundle.info.robot

    def act(self, observation: Observation, instruction: str) -> Array:
        """(chunk, J) float32 absolute joint targets in the robot's units; action k stands for stamp + k / fps seconds.

        observation: state (J,), and an image (H, W, 3) uint8 RGB for each camera of `bundle.info.cameras`.
        """
        return self.runtime.infer(observation, instruction)

    def close(self) -> None:
        """Free what the runtime holds."""
        self.runtime.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def load_policy(folder: str | Path, *, runtime: str = "auto", device: str = "auto", threads: int = 1) -> Policy:
    """A policy bundle and the fastest usable runtime for it.

    runtime: auto, tensorrt, onnxruntime, torch or torch-compile; `policy.runtime.reason` names why it was chosen.
    Raises EmmaError for a folder that is no bundle, and for a runtime that this machine or bundle does not have.
    """
    from emma.policy.bundle import load_bundle
    from emma.policy.runtime import open_runtime

    bundle = load_bundle(folder)
    return Policy(bundle=bundle, runtime=open_runtime(bundle, kind=runtime, device=device, threads=threads))


def collect(
    out: str | Path, *, episodes: int, robot: str | Path = DEFAULT_ROBOT, seed: int = 0, **options: Any
) -> CollectReport:
    """Demonstrations of the simulator's scripted expert, written as a LeRobotDataset. options: of `CollectConfig`."""
    from emma.envs.maker import maker_of
    from emma.sim.collect import CollectConfig
    from emma.sim.collect import collect as run

    spec = load_robot(robot)
    maker = maker_of(spec)
    chosen = {"maker": maker, "task": maker.tasks[0], "depth": maker.depth, **options}
    return run(out, spec, CollectConfig(episodes=episodes, seed=seed, **chosen))


def convert(
    bags: str | Path, out: str | Path, *, robot: str | Path = DEFAULT_ROBOT, config: ConvertConfig | None = None
) -> ConvertReport:
    """Every bag at or below `bags` into the LeRobotDataset `out`, which is made or continued.

    A bag that cannot be converted is refused in the report, with the reason. Raises EmmaError if there is no bag.
    """
    from emma.conversion.convert import convert as run

    return run(bags, out, load_robot(robot), config)


def augment(
    dataset: str | Path,
    out: str | Path,
    *,
    prompts: str | Path = "desk",
    config: AugmentConfig | None = None,
    tools: ToolOptions | None = None,
) -> AugmentReport:
    """Re-imagined copies of a dataset's episodes: same motion, other looks.

    prompts: a grammar by name or YAML file. config: variants, seed, episodes, filter. tools: generator and its
    settings. Interrupted, the same call goes on. Raises EmmaError; finished clips are kept then.
    """
    from emma.augmentation.config import ToolOptions
    from emma.augmentation.job import augment as run
    from emma.augmentation.tools import tools_for
    from emma.dreamtransfer.prompts import Grammar

    return run(dataset, out, tools_for(dataset, tools or ToolOptions()), Grammar.load(prompts).sample, config)


def train(config: TrainConfig, out: str | Path, *, resume: bool = False) -> Bundle:
    """Train a policy on datasets and write its bundle to `out`. `resume` goes on from the newest checkpoint there.

    Raises KeyboardInterrupt after a checkpoint when it is interrupted, and EmmaError for bad input.
    """
    from emma.policy.bundle import load_bundle
    from emma.training.loop import train as run

    return load_bundle(run(config, Path(out), resume=resume))


def evaluate(
    policy: Policy | str | Path, *, episodes: int = 100, domains: Sequence[str] = ("source",), **options: Any
) -> dict[str, EvalResult]:
    """Closed-loop episodes in the robot's simulator for each appearance in `domains`; options: of `EvalConfig`.

    `result.success` is a Rate with `value` and the 95 % `interval`. A run depends on its seeds alone.
    """
    from emma.envs.maker import maker_of
    from emma.sim.evaluate import EvalConfig
    from emma.sim.evaluate import evaluate as run
    from emma.sim.maker import require_known

    if not isinstance(policy, Policy):
        with load_policy(policy) as opened:
            return evaluate(opened, episodes=episodes, domains=domains, **options)
    info, spec = policy.bundle.info, load_robot(policy.robot)
    policy.bundle.check(spec)
    maker = maker_of(spec)
    chosen: dict[str, Any] = {"task": maker.tasks[0], "timeout_s": maker.timeout_s, "targets": maker.targets}
    chosen |= {"replan_s": info.replan_s, **options}
    require_known(maker, chosen["task"], domains)
    with maker.make(spec, cameras=info.cameras, task=chosen["task"]) as sim:
        configs = {d: EvalConfig(episodes=episodes, domain=d, depth=info.depth, **chosen) for d in domains}
        return {domain: run(sim, policy.runtime, info.fps, config) for domain, config in configs.items()}


def improve(config: ImproveConfig, *, again: bool = False) -> Outcome | None:
    """One cycle: convert, augment, train, export, evaluate, and promote only what is measurably better.

    None if there is nothing new to learn from, unless `again`. Killed, the same call goes on and ends with the same
    result. Lowers the priority of the calling process for good. Raises EmmaError; what is done stays done.
    """
    from emma.cycle.config import anchored
    from emma.cycle.improve import improve as run

    return run(anchored(config, Path.cwd()), again=again)
