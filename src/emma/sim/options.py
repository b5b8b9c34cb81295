"""Options of a collection of demonstrations and of an evaluation. Light to import: the command line reads it."""

from dataclasses import dataclass
from typing import Final

from emma.options import option
from emma.policy.joins import JOINS

MOTIONS: Final = ("task", "wander")
# Evaluation starts where no training data does: `emma collect` refuses seeds from here on.
FIRST_SEED = 10_000


@dataclass(frozen=True, kw_only=True)
class CollectOptions:
    """Options of `emma collect`."""

    episodes: int = option(100, help="episodes in the finished dataset")
    seed: int = option(0, help="seed of the first episode")
    noise: float = option(0.02, help="disturbance of executed commands, rad")
    jitter: float = option(0.0, help="random: change of each colour channel, 0 to 1")
    cameras: tuple[str, ...] | None = option(None, help="cameras to store (default all)")
    depth: bool = option(True, help="store depth where the simulator has it")
    evaluation_domains: bool = option(False, help="allow looks kept for evaluation: for an upper bound only")
    motion: str = option(
        "task",
        help="task: the expert at work; wander: short clips of aimless motion among varied objects, for a generator",
        choices=MOTIONS,
    )
    frames: int = option(8, help="frames of a wandering clip")


@dataclass(frozen=True, kw_only=True)
class EvalOptions:
    """Options of `emma eval`."""

    episodes: int = option(100, help="episodes per appearance")
    seed: int = option(FIRST_SEED, help="seed of the first episode")
    join: str = option("auto", help="how chunks follow each other; auto: rtc if trained for it", choices=JOINS)
