"""Closed-loop evaluation in one process: the simulated arm, a policy runtime and the controller that deploys.

Time is the simulator's: a chunk becomes usable `latency_s` after its observation, as on the robot, so a run depends
on its seeds alone and not on how busy the machine is.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from emma.control.chunk_executor import ExecutorConfig
from emma.control.controller import Controller, Mode
from emma.control.inference import SimulatedInference
from emma.control.policy_loop import PolicyLoop
from emma.observation import Observation
from emma.policy.chunk_blending import choose_join
from emma.policy.runtime import PolicyRuntime
from emma.sim.demonstrations import RANDOM, domain_of
from emma.sim.domains import Domain
from emma.sim.options import EvalOptions
from emma.sim.scene import TARGETS
from emma.sim.simulator import Simulator, observation
from emma.sim.smoothness import Smoothness
from emma.sim.tasks import DEFAULT
from emma.stats import Rate


@dataclass(frozen=True, kw_only=True)
class EvalConfig(EvalOptions):
    """domain: a name, or "random": for each episode a look of its own that its seed decides, none of which shows what
    the unseen ones keep. latency_s: from observation to usable chunk; timeout_s: an episode that is not settled by then
    has failed; task, targets: of the simulator (`emma.sim.maker`);
    depth: whether the policy sees any; a third of the time where it is drawn."""

    domain: str = "source"
    latency_s: float = 0.06
    timeout_s: float = 13.0
    replan_s: float = 0.4
    blend_s: float = 0.2
    task: str = DEFAULT
    depth: bool = False
    targets: tuple[str, ...] = TARGETS

    def __post_init__(self) -> None:
        if self.episodes <= 0:
            raise ValueError(f"episodes must be above 0, not {self.episodes}")
        if self.latency_s < 0 or self.timeout_s <= 0:
            raise ValueError(f"latency_s >= 0 and timeout_s > 0, not {self.latency_s} and {self.timeout_s}")

    def tasks(self) -> Iterable[tuple[int, str]]:
        """(seed, target) of every episode: targets alternate, each seed once."""
        return ((self.seed + i, self.targets[i % len(self.targets)]) for i in range(self.episodes))


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


class _Rendered(Mapping[str, np.ndarray]):
    """Images that are drawn when they are looked at: a moment that no policy is asked about costs nothing."""

    def __init__(self, names: tuple[str, ...], draw: Callable[[], Mapping[str, np.ndarray]]) -> None:
        self._names, self._draw = names, draw
        self._drawn: Mapping[str, np.ndarray] | None = None

    def __getitem__(self, name: str) -> np.ndarray:
        if self._drawn is None:
            self._drawn = self._draw()
        return self._drawn[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class _SimulatedRobot:
    """ObservationSource: what the simulated cameras and joints give at the simulator's own time."""

    def __init__(self, sim: Simulator, *, depth: bool) -> None:
        self._sim, self._depth = sim, depth
        self._newest_ns: int | None = None

    def newest_ns(self) -> int | None:
        if all(self._sim.picture_tick(camera) == self._sim.tick for camera in self._sim.cameras):
            self._newest_ns = self._sim.stamp_ns
        return self._newest_ns

    def at(self, t_ns: int) -> Observation:
        names = tuple(self._sim.cameras)
        seen: list[Observation] = []

        def draw() -> Observation:
            if not seen:
                seen.append(observation(self._sim, depth=self._depth))
            return seen[0]

        return Observation(
            stamp_ns=t_ns,
            state=self._sim.state(),
            images=_Rendered(names, lambda: draw().images),
            depth=_Rendered(names, lambda: draw().depth) if self._depth else {},
        )

    def measured(self) -> tuple[np.ndarray, int] | None:
        return self._sim.state(), self._sim.stamp_ns

    def ages_s(self, now_ns: int) -> dict[str, float]:
        """Nothing is late in simulated time."""
        return {}


def run_episode(
    sim: Simulator, runtime: PolicyRuntime, fps: int, seed: int, target: str, config: EvalConfig
) -> EpisodeResult:
    """One episode from (seed, target), asked for in held-out words, until the cube lies at a target or time is up."""
    spec = sim.spec
    sim.set_task(config.task)
    task = sim.reset(seed, target, held_out_words=True)
    runtime.reset(seed)
    executor_config = ExecutorConfig(
        fps=fps, replan_s=config.replan_s, blend_s=config.blend_s, join=choose_join(config.join, runtime)
    )
    controller = Controller(spec, executor_config, ramp_s=0.5)
    sent: list[np.ndarray] = []
    loop = PolicyLoop(
        spec,
        _SimulatedRobot(sim, depth=config.depth),
        SimulatedInference(runtime, config.latency_s),
        controller,
        now_ns=lambda: sim.stamp_ns,
        stamp_ns=lambda: sim.stamp_ns,
        send=lambda position, _: sent.append(position),
    )
    loop.set_instruction(task.instruction)
    loop.begin(sim.state())
    executor, arm = controller.executor, slice(len(spec.joints) - len(spec.gripper))
    smoothness = Smoothness(1.0 / spec.control_rate_hz)
    held, largest, last = 0, 0.0, None
    for _ in range(int(config.timeout_s * spec.control_rate_hz)):
        t_ns = sim.stamp_ns
        chunks, before = executor.taken, executor.target(t_ns)
        tick = loop.tick()
        if executor.taken > chunks and before is not None:
            smoothness.joined(before[arm], executor.newest(t_ns)[arm])
        held += tick.mode is Mode.HOLDING
        if tick.mode is Mode.STOPPED:
            break
        command = sent[-1]
        if last is not None:
            largest = max(largest, float(np.abs(command - last)[arm].max()))
        last, aimed = command, executor.target(t_ns)
        smoothness.tick(command[arm], None if aimed is None else aimed[arm])
        sim.step(command)
        outcome = sim.outcome()
        if outcome.settled and outcome.placed_on is not None:
            break
    outcome = sim.outcome()
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
    sim: Simulator,
    runtime: PolicyRuntime,
    fps: int,
    config: EvalConfig,
    progress: Callable[[EpisodeResult], None] | None = None,
) -> EvalResult:
    """Run every episode of `config` on one simulator."""
    sim.set_domain(_look(config.domain, config.seed))
    results = []
    for seed, target in config.tasks():
        if config.domain == RANDOM:
            sim.set_domain(_look(RANDOM, seed))
        results.append(run_episode(sim, runtime, fps, seed, target, config))
        if progress is not None:
            progress(results[-1])
    return EvalResult(config=config, episodes=tuple(results), runtime=runtime.name)


def _look(domain: str, seed: int) -> str | Domain:
    """The look of a seed's episode: a name, which the simulator knows, or one of its own."""
    return domain_of(RANDOM, seed) if domain == RANDOM else domain
