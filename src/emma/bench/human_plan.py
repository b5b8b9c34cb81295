"""What the measurement of transfer from hands trains and evaluates. Fixed here before its first table is run."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from emma.errors import EmmaError
from emma.sim.domains import Domain, load_domain, random_domain
from emma.sim.domains.domain import COLORS
from emma.sim.tasks.tidy import belongs

CAMERA: Final = "front"
# Looks of pretraining: with two tasks and two targets, 32 combinations.
LOOKS: Final = 8
LOOK_SEED: Final = 40_000
TASKS: Final = ("place", "push")
TARGETS: Final = ("bin", "plate")
# Cubes of the rule: red ones belong into the bin, the others onto the plate.
OTHER_COLOURS: Final = ("green", "purple", "teal", "white")
# People differ from the arm's plan in speed; the import stretches their time by this.
SLOW_DOWN: Final = 1.6


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One thing that only data of hands show. task, look: of its episodes; any_colour: cubes of every colour."""

    name: str
    task: str
    look: str
    any_colour: bool = False

    def domain(self, seed: int, target: str) -> Domain:
        """The look of an episode; with a rule, one whose cube belongs to `target`."""
        domain = load_domain(self.look)
        if not self.any_colour:
            return domain
        others = OTHER_COLOURS[int(np.random.default_rng([seed, 7]).integers(len(OTHER_COLOURS)))]
        coloured = replace(domain, cube=COLORS["red" if target == "bin" else others])
        assert belongs(coloured) == target
        return coloured


AXES: Final = (
    Axis(name="look", task="place", look="medium"),
    Axis(name="target", task="beside", look="source"),
    Axis(name="rule", task="tidy", look="source", any_colour=True),
)


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One fine-tuning. data: robot (alone), human, shuffled (hands of other videos), arm (the robot shows the axes
    itself), no_gripper or translation (what is left out of the hands' actions); ratio: share of that data; absolute:
    actions in the base frame."""

    name: str
    data: str = "human"
    ratio: float = 0.5
    absolute: bool = False


ROBOT, HUMAN = Condition(name="robot", data="robot"), Condition(name="human")
CONTROLS: Final = (
    Condition(name="shuffled", data="shuffled"),
    Condition(name="arm", data="arm"),
    Condition(name="no_gripper", data="no_gripper"),
    Condition(name="translation", data="translation"),
    Condition(name="absolute", absolute=True),
    Condition(name="ratio_25", ratio=0.25),
    Condition(name="ratio_75", ratio=0.75),
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much. demos: robot episodes of each pretraining level, and of the robot's fine-tuning data; hands: episodes
    of each axis; pretrain, steps: optimiser steps of both stages; levels: percent of the 32 combinations; episodes:
    trials of each axis."""

    root: Path = Path("runs/bench/human")
    demos: int = 128
    hands: int = 60
    pretrain: int = 3000
    steps: int = 1200
    batch_size: int = 64
    levels: tuple[int, ...] = (0, 25, 50, 75, 100)
    seeds: int = 3
    episodes: int = 40
    timeout_s: float = 13.0
    controls: bool = True

    def __post_init__(self) -> None:
        for key in ("demos", "hands", "pretrain", "steps", "batch_size", "seeds", "episodes"):
            if getattr(self, key) < 1:
                raise EmmaError(f"bad option {key}", found=getattr(self, key), expected="1 or more")
        if not self.levels or not all(0 <= level <= 100 for level in self.levels):
            raise EmmaError("bad option levels", found=list(self.levels), expected="percents, 0 to 100")

    @classmethod
    def of(cls, options: dict[str, Any]) -> "Plan":
        """From `--set KEY=VALUE`. Raises EmmaError for an unknown key."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(options) - known):
            raise EmmaError("the bench human has no such option", found=", ".join(unknown), expected=", ".join(known))
        values = {**options}
        if "levels" in values:
            values["levels"] = tuple(values["levels"] if isinstance(values["levels"], list) else [values["levels"]])
        if "root" in values:
            values["root"] = Path(str(values["root"]))
        return cls(**values)

    @property
    def top(self) -> int:
        """The level of the controls."""
        return max(self.levels)


def combinations(level: int) -> list[tuple[Domain, str, str]]:
    """(look, task, target) of a level, in an order that no choice of ours decides; at least one above 0 %."""
    looks = [random_domain(np.random.default_rng(LOOK_SEED + i)) for i in range(LOOKS)]
    every = [(look, task, target) for look in looks for task in TASKS for target in TARGETS]
    order = np.random.default_rng(LOOK_SEED).permutation(len(every))
    return [every[i] for i in order[: max(1, round(len(every) * level / 100))]]
