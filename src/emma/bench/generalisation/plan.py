"""What the proof compares: the rows of the table, the sweeps, the appearances, and what they may cost."""

import hashlib
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from emma.errors import EmmaError
from emma.sim.demonstrations import RANDOM
from emma.sim.domains import load_domain
from emma.sim.tasks import DEFAULT, load_task

# Where choices are made, and what nothing but the final table may look at.
SEEN = ("source", "small", "medium", "large")
# A look of its own for every episode: the graded shifts are soon all solved or all failed, which tells nothing apart.
LOOKS = RANDOM
CHOICE = (*SEEN, LOOKS)
# The source look with every camera 2 cm and 3 degrees from its place.
MOVED = "cameras_moved"
UNSEEN = ("unseen_1", "unseen_2", "unseen_3", "unseen_4")
CAMERAS = ("top", "wrist")
GENERATOR = "dreamtransfer_desk"

# Which pictures are trained on beside the demonstrations.
PICTURES = ("none", "kept", "all", "true")
# How the generator is run: settings of `emma.dreamtransfer.settings.Settings` that differ from its own.
WAYS: Mapping[str, Mapping[str, Any]] = {
    "whole": {},
    "views_alone": {"together": False, "fuse": False},
    "no_depth": {"control": 0.0, "fuse": False},
}
SWEEPS = ("ratio", "generator", "augment", "lambda", "metrics", "against", "dealt", "level", "learning rate")
# Of a budget, what belongs to one machine.
HERE = ("workspace", "workers", "estimate", "ship", "keep")
# As LeRobot's policies call the learning rate.
RATE = "optimizer_lr"
METRICS = ("error", "smoothness", "limits")
# The recipe's AdaMix, chosen on the graded shifts: a policy that is lost in a look idles, so its chunks keep to the
# limits best where it fails.
ADAMIX: Mapping[str, Any] = {"smoothness": 0, "limits": 0}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One way to train on the same demonstrations for the same number of steps.

    pictures: none; kept: generated clips that the filter kept; all: those that it rejected, too; true: the simulator's
    own pictures of the kept clips' prompts. way: one of WAYS. ratio, adamix, rate (the optimiser's highest learning
    rate): where they differ from the budget's.
    """

    name: str
    about: str
    pictures: str = "none"
    way: str = "whole"
    sampler: str = "uniform"
    augment: str = "none"
    ratio: float | None = None
    adamix: Mapping[str, Any] = field(default_factory=dict)
    rate: float | None = None

    def __post_init__(self) -> None:
        if self.pictures not in PICTURES or self.way not in WAYS:
            raise ValueError(f"{self.pictures} or {self.way} is unknown")


ROWS = (
    Recipe(name="real_only", about="real only"),
    Recipe(name="jitter", about="real + colour jitter", augment="jitter"),
    Recipe(name="randconv", about="real + random convolution", augment="randconv"),
    Recipe(name="dreamtransfer", about="real + DreamTransfer, unfiltered", pictures="all", sampler="fixmix"),
    Recipe(name="fixmix", about="real + DreamTransfer, filtered (FixMix)", pictures="kept", sampler="fixmix"),
    Recipe(
        name="adamix", about="real + DreamTransfer, filtered, AdaMix", pictures="kept", sampler="adamix", adamix=ADAMIX
    ),
    Recipe(
        name="adamix_source",
        about="the same, AdaMix against the source",
        pictures="kept",
        sampler="adamix",
        adamix={**ADAMIX, "against": "source"},
    ),
    Recipe(name="upper_bound", about="real + re-render in the same prompts", pictures="true", sampler="fixmix"),
)
ROW_NAMES = tuple(row.name for row in ROWS)
# As `rows`: the sweeps without the table.
NONE = "none"
FULL = next(row for row in ROWS if row.name == "adamix")
FIXMIX = next(row for row in ROWS if row.name == "fixmix")
AGAINST_SOURCE = next(row for row in ROWS if row.name == "adamix_source")


def sweeps(budget: "Budget") -> dict[str, dict[str, Recipe]]:
    """Sweep -> setting -> recipe: the full recipe with one thing changed, and the full recipe itself where it is one.

    None of them is a row, so none of them may be evaluated where only the table is.
    """

    def other(name: str, about: str, **changes: Any) -> Recipe:
        return replace(FULL, name=name, about=about, **changes)

    ratios = {
        f"{share:.0%}": FULL
        if share == budget.ratio
        else other("ratio_0", "no generated clips, AdaMix", pictures="none")
        if share == 0
        else other(f"ratio_{share * 100:.0f}", f"{share:.0%} generated", ratio=share)
        for share in budget.ratios
    }
    lambdas = {
        f"{lam:g}": FULL
        if lam == budget.lam
        # To the bit: nothing but the shares is left.
        else FIXMIX
        if lam == 1
        else other(f"lambda_{lam:g}", f"lambda {lam:g}", adamix=_lambda(lam))
        for lam in budget.lambdas
    }
    metrics = {"error alone": FULL, "all": other("all_metrics", "AdaMix with all metrics", adamix={})} | {
        f"without {m}": other(f"without_{m}", f"AdaMix without {m}", adamix={m: 0}) for m in METRICS
    }
    share = {**ADAMIX, "against": "look"}
    compared = {"all": FULL, "its source": AGAINST_SOURCE}
    compared["its source, as a share"] = other("look_share", "share of the error beyond the source's", adamix=share)
    chance = {**ADAMIX, "dealt": "chance"}
    dealt = {"by difficulty": FULL, "by chance": other("by_chance", "weights dealt out by chance", adamix=chance)}
    levels = {
        "episode": FULL,
        "frame": other("by_frame", "weights by frame, too", adamix={**ADAMIX, "level": "frame"}),
        "within": other("within", "weights by frame alone", adamix={**ADAMIX, "level": "within"}),
    }
    rates = {"own": FULL} if budget.rate is None else {}
    rates |= {
        f"{rate:g}": FULL if rate == budget.rate else other(f"rate_{rate:g}", f"learning rate {rate:g}", rate=rate)
        for rate in budget.rates
    }
    changed = {"none": FULL} | {a: other(f"with_{a}", f"and {a}", augment=a) for a in budget.augments}
    ways = {"whole": FULL} | {way: other(way, way.replace("_", " "), way=way) for way in WAYS if way != "whole"}
    data = {"ratio": ratios, "generator": ways, "augment": changed}
    found = data | {"lambda": lambdas, "metrics": metrics, "against": compared, "dealt": dealt}
    found |= {"level": levels, "learning rate": rates}
    return {name: settings for name, settings in found.items() if name in (budget.swept or SWEEPS)}


def _lambda(lam: float) -> dict[str, Any]:
    # Two levels of weight leave 4 lambda / (1 + lambda)^2 of the samples effective: a larger one is not a collapse.
    return {**ADAMIX, "lambda": lam, "min_effective": min(0.25, round(3.0 * lam / (1.0 + lam) ** 2, 3))}


def allowed(recipe: Recipe) -> tuple[str, ...]:
    """The appearances that a policy of this recipe may be evaluated in."""
    return (*CHOICE, MOVED, *UNSEEN) if recipe in ROWS else CHOICE


def require_allowed(recipe: Recipe, appearance: str) -> None:
    """Raise EmmaError for an appearance that this recipe may not be evaluated in: the test set is for the table."""
    unseen = appearance != LOOKS and load_domain(appearance).role == "unseen"
    if appearance not in allowed(recipe) or (unseen and recipe not in ROWS):
        raise EmmaError(
            f"{appearance} is kept for the final table",
            found=f"an evaluation of {recipe.name} ({recipe.about})",
            expected=f"{', '.join(CHOICE)} for everything that is not a row of it",
        )


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What all rows have in common. task: one of `emma.sim.tasks.TASKS`; demonstrations: episodes of one appearance;
    variants: clips of each.

    shards: jobs that generation is divided into, each with a filter of its own. init: bundle that every row goes on
    from, as the cycle does with the policy that runs; empty for random weights. episodes: in each appearance, of each
    trained policy; looks: random looks, an episode in each; batch: those that an interruption costs at most. seeds:
    trainings of each row. rows: some of ROW_NAMES, empty for all, NONE for the sweeps alone. sweeps: those too, each
    with sweep_seeds trainings; swept: some of SWEEPS, empty for all. workers: processes at work at once, 0 for the
    figures of what is there; options: of the policy; ratios, lambdas, augments, rates: of the sweeps. ship: folder to
    copy the first training of each row to when all is done, for `--quick`. keep: figures of an earlier run, for what
    this workspace does not have.
    """

    task: str = DEFAULT
    demonstrations: int = 500
    variants: int = 2
    shards: int = 4
    reject: float = 0.07
    noise: float = 0.03
    steps: int = 7000
    batch_size: int = 64
    ratio: float = 0.5
    lam: float = 10.0
    policy: str = "spatial_flow"
    init: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "bf16"
    device: str = "cpu"
    seeds: int = 3
    episodes: int = 100
    looks: int = 100
    batch: int = 10
    timeout_s: float = 13.0
    export: bool = True
    rows: tuple[str, ...] = ()
    sweeps: bool = False
    swept: tuple[str, ...] = ()
    sweep_seeds: int = 1
    ratios: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 0.9)
    lambdas: tuple[float, ...] = (1.0, 3.0, 10.0, 30.0)
    augments: tuple[str, ...] = ("jitter", "randconv")
    rates: tuple[float, ...] = (3e-4, 1e-3, 2e-3)
    generator: str = ""
    ship: str = ""
    keep: str = ""
    workspace: str = "runs/bench/generalisation"
    workers: int = field(default_factory=lambda: min(2, len(os.sched_getaffinity(0))))
    estimate: bool = True

    def __post_init__(self) -> None:
        load_task(self.task)
        counts = ("demonstrations", "variants", "shards", "steps", "batch_size", "seeds", "episodes", "looks", "batch")
        for name in (*counts, "sweep_seeds"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        _require(self.workers >= 0, "workers", self.workers, "0 or more")
        _require(self.shards <= self.demonstrations, "shards", self.shards, "no more than demonstrations")
        _require(0 < self.ratio < 1, "ratio", self.ratio, "a share between 0 and 1")
        rows = set(self.rows)
        _require(
            rows <= set(ROW_NAMES) or rows == {NONE}, "rows", ", ".join(rows), f"of {', '.join(ROW_NAMES)}; {NONE}"
        )
        _require(not self.keep or rows != {NONE}, "keep", self.keep, f"a table to add to: rows other than {NONE}")
        _require(set(self.swept) <= set(SWEEPS), "swept", ", ".join(self.swept), f"some of {', '.join(SWEEPS)}")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """From names and values as `--set` gives them. Raises EmmaError for an unknown name or another value's kind."""
        known = {f.name: getattr(cls(), f.name) for f in fields(cls)}
        values: dict[str, Any] = {}
        for key, value in options.items():
            _require(key in known, "option", key, f"one of {', '.join(known)}")
            values[key] = _like(known[key], value, key)
        return cls(**values)

    @property
    def root(self) -> Path:
        return Path(self.workspace)

    @property
    def rate(self) -> float | None:
        """The optimiser's highest learning rate, None for the policy's own."""
        return self.options.get(RATE)

    @property
    def chosen(self) -> tuple[Recipe, ...]:
        """The rows asked for, in the table's order."""
        return tuple(row for row in ROWS if not self.rows or row.name in self.rows)

    def episodes_in(self, appearances: Sequence[str]) -> dict[str, int]:
        """Appearance -> episodes of each trained policy."""
        return {name: self.looks if name == LOOKS else self.episodes for name in appearances}

    @property
    def command(self) -> str:
        """What makes this table anew, on any machine."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in HERE}
        usual = type(self)()
        changed = {name: value for name, value in own.items() if value != getattr(usual, name)}
        words = {n: ",".join(map(str, v)) if isinstance(v, tuple) else v for n, v in changed.items()}
        said = (f"{n}={v if isinstance(v, str) else json.dumps(v)}" for n, v in words.items())
        return " ".join(["emma bench generalisation", *(f"--set {shlex.quote(text)}" for text in said)])

    def decisive(self) -> dict[str, Any]:
        """What makes another experiment: not how, where, how often or for how many rows it is done."""
        free = (*HERE, "rows", "batch", "episodes", "looks", "seeds", "export")
        sweeps = ("sweeps", "sweep_seeds", "swept", "ratios", "lambdas", "augments", "rates")
        return {n: v for n, v in asdict(self).items() if n not in (*free, *sweeps, "task")} | self.other_task

    @property
    def other_task(self) -> dict[str, Any]:
        """The task, for the keys of what is kept; nothing for the first one, whose folders keep their names."""
        return {} if self.task == DEFAULT else {"task": self.task}


def digest(value: Any) -> str:
    """Eight hexadecimal digits of anything that JSON can say."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]


def _like(default: Any, value: Any, key: str) -> Any:
    if isinstance(default, tuple):
        items = [part for part in value.split(",") if part] if isinstance(value, str) else value
        items = items if isinstance(items, list | tuple) else [items]
        number = bool(default) and isinstance(default[0], float)
        return tuple(_like(0.0, item, key) for item in items) if number else tuple(str(item) for item in items)
    if isinstance(default, bool) or isinstance(value, bool):
        fits = isinstance(default, bool) and isinstance(value, bool)
    elif isinstance(default, int | float):
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                _require(False, key, value, f"a value like {default!r}")
        fits = isinstance(value, int | float) and type(default)(value) == value
        value = type(default)(value) if fits else value
    else:
        fits = isinstance(value, Mapping if isinstance(default, Mapping) else type(default))
    _require(fits, key, value, f"a value like {default!r}")
    return value


def _require(holds: bool, name: str, found: object, expected: str) -> None:
    if not holds:
        raise EmmaError(f"bad {name} for the generalisation bench", found=found, expected=expected)
