"""Expert demonstrations straight into a LeRobotDataset: no ROS, and the same episodes with any number of processes."""

import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from emma.errors import EmmaError
from emma.robots.spec import RobotSpec
from emma.sim.demonstrations import RANDOM, Demonstration, demonstrate, domain_of, target_of
from emma.sim.maker import DESK_ARM, DeskArmMaker, SimulatorMaker, require_known
from emma.sim.options import FIRST_SEED, MOTIONS, CollectOptions
from emma.sim.simulator import Simulator
from emma.sim.tasks import DEFAULT
from emma.worker_pool import AHEAD, in_order

# Of this many tries in a row at least one must succeed, or something is wrong.
_MAX_FAILED = 50


@dataclass(frozen=True, kw_only=True)
class CollectConfig(CollectOptions):
    """What to collect. domains take turns; "random" is a new look each episode.

    The dataset's action is the clean command. maker: what makes the simulator; task: which one, of `maker.tasks`.
    """

    domains: tuple[str, ...] = ("source",)
    workers: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    task: str = DEFAULT
    maker: SimulatorMaker = DESK_ARM

    def __post_init__(self) -> None:
        require_known(self.maker, self.task, self.domains)
        if self.episodes < 1 or self.workers < 1:
            raise EmmaError(
                "nothing to collect",
                found=f"episodes {self.episodes}, workers {self.workers}",
                expected="at least 1 each",
            )
        if self.motion not in MOTIONS or self.frames < 1:
            raise EmmaError(
                "unknown motion",
                found=f"{self.motion}, {self.frames} frames",
                expected=f"one of {', '.join(MOTIONS)}, at least 1 frame",
            )
        if self.motion == "wander" and not isinstance(self.maker, DeskArmMaker):
            raise EmmaError("only the embedded arm wanders", found=f"--motion {self.motion}", fix="leave it out")
        if self.motion == "wander" and self.task != DEFAULT:
            raise EmmaError("a wandering clip has no task", found=self.task, fix="leave out --task or --motion")
        if not 0.0 <= self.noise <= 0.1:
            raise EmmaError("noise out of range", found=self.noise, expected="0 to 0.1 rad")
        if not 0 <= self.seed <= FIRST_SEED - self.episodes:
            raise EmmaError(
                "these seeds are kept for evaluation",
                found=f"seeds {self.seed} to {self.seed + self.episodes - 1}",
                expected=f"0 to {FIRST_SEED - 1}",
                fix="choose a lower --seed",
            )
        if not self.domains:
            raise EmmaError("no visual domain", found="none", expected="at least one name, or random")
        looks = self.maker.looks
        for name in self.domains:
            if looks[name] == "unseen" and not self.evaluation_domains:
                raise EmmaError(
                    f"{name} is kept for evaluation",
                    found=name,
                    expected="a look that policies may train on",
                    fix="for an upper bound that trains on it, allow it with --evaluation-domains",
                )

    def domain(self, seed: int) -> str:
        """The domain of a seed's episode. Targets alternate by seed, so domains change every two seeds."""
        return self.domains[seed // 2 % len(self.domains)]

    def target(self, seed: int) -> str:
        """The target of a seed's episode: they take turns."""
        return target_of(seed, self.maker.targets)


@dataclass(frozen=True, kw_only=True)
class CollectReport:
    """episodes and frames written now, tries that failed and were dropped, episodes that were there before."""

    episodes: int
    frames: int
    failed: int
    kept: int
    seconds: float


def collect(
    out: Path | str, spec: RobotSpec, config: CollectConfig, progress: Callable[[CollectReport], None] | None = None
) -> CollectReport:
    """Write demonstrations to the dataset at `out`, which is made or continued.

    Run again after an interruption, it keeps the episodes of the same configuration and writes the missing ones.
    `progress` hears after every episode how things stand.
    """
    from emma.datasets.writer import DatasetWriter

    start = time.monotonic()
    made = failed = frames = 0

    def report() -> CollectReport:
        seconds = round(time.monotonic() - start, 3)
        return CollectReport(episodes=made, frames=frames, failed=failed, kept=kept, seconds=seconds)

    with DatasetWriter(out, spec, cameras=config.cameras, depth=config.depth) as writer:
        there = {entry["seed"] for entry in writer.provenance if _same(entry, config)}
        kept = min(len(there), config.episodes)
        # Episodes are written in the order of their seeds: those between that are not there have failed.
        seeds = count(max(there, default=config.seed - 1) + 1)
        with closing(_episodes(spec, config, seeds, config.episodes - kept)) as episodes:
            for episode in episodes:
                rows = zip(episode.observations, episode.action, strict=True)
                writer.add_episode(rows, episode.instruction, _provenance(episode, spec, config))
                made, failed, frames = made + 1, failed + episode.failed, frames + len(episode.action)
                if progress is not None:
                    progress(report())
    return report()


def _provenance(episode: Demonstration, spec: RobotSpec, config: CollectConfig) -> dict[str, Any]:
    return {
        "source": "simulator",
        "embodiment": spec.name,
        "seed": episode.seed,
        "target": episode.target,
        "requested_domain": config.domain(episode.seed),
        "domain": episode.domain.name,
        "caption": episode.domain.caption,
        "noise": config.noise,
        "jitter": config.jitter,
        "motion": config.motion,
        "task": config.task,
    }


def _same(entry: dict[str, Any], config: CollectConfig) -> bool:
    """Whether an episode's provenance says that this configuration made it."""
    seed = entry.get("seed")
    return (
        entry.get("source") == "simulator"
        and isinstance(seed, int)
        and seed >= config.seed
        and entry.get("requested_domain") == config.domain(seed)
        and entry.get("noise") == config.noise
        and entry.get("jitter") == config.jitter
        and entry.get("motion", "task") == config.motion
        and entry.get("task", DEFAULT) == config.task
    )


def _episodes(
    spec: RobotSpec, config: CollectConfig, seeds: Iterator[int], wanted: int
) -> Generator[Demonstration, None, None]:
    """`wanted` successful episodes in the order of their seeds. Memory holds only those in flight."""
    if wanted == 0:
        return
    failed = 0
    workers = min(config.workers, wanted)
    ahead = AHEAD if wanted > workers else 1
    with closing(in_order(partial(_work, spec, config), seeds, workers, ahead=ahead)) as episodes:
        for episode in episodes:
            if episode is None:
                failed += 1
                if failed == _MAX_FAILED:
                    raise EmmaError(
                        "the expert keeps failing",
                        found=f"{failed} failures in a row",
                        expected="most tries to succeed",
                        fix="lower the noise",
                    )
                continue
            yield replace(episode, failed=failed)
            failed, wanted = 0, wanted - 1
            if not wanted:
                return


# The simulator of this process, made by its first episode.
_own: list[Simulator] = []


def _work(spec: RobotSpec, config: CollectConfig, seed: int) -> Demonstration | None:
    if not _own:
        _own.append(config.maker.make(spec, cameras=config.cameras, task=config.task))
    (sim,) = _own
    domain = config.domain(seed)
    sim.set_domain(domain_of(domain, seed, config.jitter) if domain == RANDOM else domain)
    if config.motion == "wander":
        from emma.sim.arm import DeskArm
        from emma.sim.wander import wander

        assert isinstance(sim, DeskArm)
        return wander(sim, seed, config.frames, spec.fps)
    return demonstrate(sim, seed, config.target(seed), noise=config.noise, fps=spec.fps, depth=config.depth)
