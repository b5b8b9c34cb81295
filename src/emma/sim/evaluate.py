"""Closed-loop evaluation in one process: the simulated arm, a policy runtime and the controller that deploys.

Time is the simulator's: a chunk becomes usable `latency_s` after its observation, as on the robot, so a run depends
on its seeds alone and not on how busy the machine is.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from emma.control.chunk_executor import NS, ExecutorConfig
from emma.control.controller import Controller, Mode
from emma.policy.chunk_blending import choose_join
from emma.policy.runtime import PolicyRuntime
from emma.sim.arm import DeskArm, observation
from emma.sim.demonstrations import RANDOM, domain_of
from emma.sim.scene import TARGETS
from emma.sim.smoothness import Smoothness
from emma.sim.tasks import DEFAULT, load_task
from emma.stats import Rate

# Evaluation starts where no training data does: `emma collect` refuses seeds from here on.
FIRST_SEED = 10_000


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """domain: a name, or "random": for each episode a look of its own that its seed decides, none of which shows what
    the unseen ones keep. latency_s: from observation to usable chunk; timeout_s: an episode that is not settled by then
    has failed; join: one of `emma.policy.chunk_blending.JOINS`; task: one of `emma.sim.tasks.TASKS`;
    depth: whether the policy sees any; a third of the time where it is drawn."""

    episodes: int = 100
    seed: int = FIRST_SEED
    domain: str = "source"
    latency_s: float = 0.06
    timeout_s: float = 13.0
    replan_s: float = 0.4
    blend_s: float = 0.2
    join: str = "auto"
    task: str = DEFAULT
    depth: bool = False

    def __post_init__(self) -> None:
        load_task(self.task)
        if self.episodes <= 0:
            raise ValueError(f"episodes must be above 0, not {self.episodes}")
        if self.latency_s < 0 or self.timeout_s <= 0:
            raise ValueError(f"latency_s >= 0 and timeout_s > 0, not {self.latency_s} and {self.timeout_s}")

    def tasks(self) -> Iterable[tuple[int, str]]:
        """(seed, target) of every episode: targets alternate, each seed once."""
        return ((self.seed + i, TARGETS[i % 2]) for i in range(self.episodes))


@dataclass(frozen=True, kw_only=True)
class EpisodeResult:
    """One closed-loop episode. placed_on: the target at which the cube came to rest, None for neither.

    largest_step: of a command, rad a tick; jerk, join_step (rad a tick, before the safety filter) and disagreement (rad
    between a chunk and the one before at the moment it comes into play): `emma.sim.smoothness`.
    """

    seed: int
    target: str
    instruction: str
    placed_on: str | None
    success: bool
    seconds: float
    held_ticks: int = 0
    largest_step: float = 0.0
    jerk: float = 0.0
    join_step: float = 0.0
    disagreement: float = 0.0


@dataclass(frozen=True, kw_only=True)
class EvalResult:
    """All episodes of one evaluation. instruction_following: of the cubes placed, those on the named target."""

    config: EvalConfig
    episodes: tuple[EpisodeResult, ...]
    runtime: str = ""
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def success(self) -> Rate:
        return Rate(sum(e.success for e in self.episodes), len(self.episodes))

    @property
    def instruction_following(self) -> Rate:
        placed = [e for e in self.episodes if e.placed_on is not None]
        return Rate(sum(e.placed_on == e.target for e in placed), len(placed))

    def to_json(self) -> dict[str, Any]:
        return {
            "config": asdict(self.config),
            "runtime": self.runtime,
            "success": self.success.value,
            "success_interval": self.success.interval,
            "instruction_following": self.instruction_following.value,
            "instruction_following_interval": self.instruction_following.interval,
            "episodes": [asdict(e) for e in self.episodes],
            "timings": self.timings,
        }


def run_episode(
    sim: DeskArm, runtime: PolicyRuntime, fps: int, seed: int, target: str, config: EvalConfig
) -> EpisodeResult:
    """One episode from (seed, target), asked for in held-out words, until the cube lies at a target or time is up."""
    spec = sim.spec
    sim.set_task(config.task)
    task = sim.reset(seed, target, held_out_words=True)
    if hasattr(runtime, "reset"):
        runtime.reset(seed)
    executor_config = ExecutorConfig(
        fps=fps, replan_s=config.replan_s, blend_s=config.blend_s, join=choose_join(config.join, runtime)
    )
    controller = Controller(spec, executor_config, ramp_s=0.5)
    executor, arm = controller.executor, slice(len(spec.joints) - len(spec.gripper))
    smoothness = Smoothness(1.0 / spec.control_rate_hz)
    controller.enable(0, sim.state())
    latency_ns = int(config.latency_s * NS)
    pending: tuple[int, int, np.ndarray] | None = None
    held, largest, last = 0, 0.0, None
    ticks = int(config.timeout_s * spec.control_rate_hz)
    for _ in range(ticks):
        t_ns = sim.stamp_ns
        if pending is not None and t_ns >= pending[0]:
            before = executor.target(t_ns)
            if controller.offer(pending[2], pending[1], t_ns) is None and before is not None:
                smoothness.joined(before[arm], executor.newest(t_ns)[arm])
            pending = None
        fresh = all(sim.picture_tick(camera) == sim.tick for camera in sim.cameras)
        if fresh and pending is None and executor.wants_chunk(t_ns):
            executor.asked(t_ns)
            previous = executor.previous(t_ns)
            continued = () if previous is None else (previous,)
            seen = observation(sim, depth=config.depth)
            pending = (t_ns + latency_ns, t_ns, runtime.infer(seen, task.instruction, *continued))
        tick = controller.tick(t_ns, {})
        held += tick.mode is Mode.HOLDING
        assert tick.command is not None  # enabled above, so there is always a pose to command
        if last is not None:
            largest = max(largest, float(np.abs(tick.command - last)[arm].max()))
        last, aimed = tick.command, executor.target(t_ns)
        smoothness.tick(tick.command[arm], None if aimed is None else aimed[arm])
        sim.step(tick.command)
        outcome = sim.outcome()
        if outcome.settled and outcome.placed_on is not None:
            break
    return EpisodeResult(
        seed=seed,
        target=target,
        instruction=task.instruction,
        placed_on=outcome.placed_on,
        success=outcome.success,
        seconds=sim.time_s,
        held_ticks=held,
        largest_step=round(largest, 5),
        jerk=round(smoothness.jerk, 3),
        join_step=round(smoothness.join_step, 5),
        disagreement=round(smoothness.disagreement, 5),
    )


def evaluate(
    sim: DeskArm,
    runtime: PolicyRuntime,
    fps: int,
    config: EvalConfig,
    progress: Callable[[EpisodeResult], None] | None = None,
) -> EvalResult:
    """Run every episode of `config` on one simulator."""
    sim.set_domain(domain_of(config.domain, config.seed))
    results = []
    for seed, target in config.tasks():
        if config.domain == RANDOM:
            sim.set_domain(domain_of(RANDOM, seed))
        results.append(run_episode(sim, runtime, fps, seed, target, config))
        if progress is not None:
            progress(results[-1])
    return EvalResult(config=config, episodes=tuple(results), runtime=runtime.name)
