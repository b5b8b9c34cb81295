"""What one cycle shall do; nothing else decides a result. `emma improve --example` prints every key."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emma.errors import EmmaError
from emma.options import build, help_of, option, read_yaml, yaml_example
from emma.robots import DEFAULT_ROBOT
from emma.robots.spec import RobotSpec, load_robot
from emma.training.config import TrainOptions
from emma.training.mixture import SAMPLERS

HEADING = """A cycle of `emma improve`, every key with its default. Copy it, keep what you change.
Relative paths are from the folder of this file."""
KINDS = ("teleop", "intervention", "policy")
MEASURES = ("auto", "simulator", "held-out")


def require(condition: object, key: str, found: object, expected: str) -> None:
    """Raise EmmaError unless `condition` holds."""
    if not condition:
        raise EmmaError(f"bad value for {key}", found=found, expected=expected)


@dataclass(frozen=True, kw_only=True)
class ConvertSettings:
    """New bags to a dataset."""

    kinds: tuple[str, ...] = option(KINDS, help="of episodes; policy: only those that a person marked as a success")
    cameras: tuple[str, ...] | None = option(None, help="null: all of the robot")
    depth: bool = option(True, help="the generator needs it")
    keep_failed: bool = option(False, help="also what was marked as a failure")
    keep_recovered: bool = option(False, help="also what a crash cut short")
    keep_stale: bool = option(False, help="also episodes whose streams were older than the robot allows")
    held_out: float = option(0.1, help="share kept from training, with measure held-out alone")

    def __post_init__(self) -> None:
        require(self.kinds and set(self.kinds) <= set(KINDS), "kinds", self.kinds, f"some of {', '.join(KINDS)}")
        require(0 <= self.held_out <= 0.5, "held_out", self.held_out, "a share of 0 to 0.5")


@dataclass(frozen=True, kw_only=True)
class AugmentSettings:
    """Every real dataset in new looks."""

    generator: str = option("", help="folder of a generator bundle; without one nothing is generated")
    prompts: str = option("desk", help="grammar: a name or a YAML file")
    variants: int = option(2, help="of each episode")
    workers: int = option(1, help="more run on Ray, whose processes a pause does not stop")
    command: tuple[str, ...] = option(
        (),
        help="another program, in words, with {python} {dataset} {generator} {prompts} {variants} {seed} {workers} "
        "{out} filled in; called again after a kill, it has to go on",
    )
    settings: Mapping[str, Any] = option(default_factory=dict, help="of the generator, such as steps: 8")
    reject: float = option(0.0, help="share of clips to reject at most")

    def __post_init__(self) -> None:
        require(self.variants >= 1 and self.workers >= 1, "variants or workers", self.variants, "1 or more")


@dataclass(frozen=True, kw_only=True)
class FilterSettings:
    """What stops a run whose augmentation went wrong; the augmentation itself decides which clips are kept."""

    min_accepted: float = option(0.5, help="a dataset of which a smaller share was kept is not used at all")

    def __post_init__(self) -> None:
        require(0 <= self.min_accepted <= 1, "min_accepted", self.min_accepted, "a share of 0 to 1")


@dataclass(frozen=True, kw_only=True)
class TrainSettings(TrainOptions):
    """Options of `emma train`, with defaults for going on from a policy."""

    start: str = option(
        "current", choices=("current", "scratch"), help="current: from the current version's weights; scratch"
    )
    steps: int = option(4000, help="optimiser steps")
    sampler: str = option("fixmix", choices=SAMPLERS, help=help_of(TrainOptions, "sampler"))
    checkpoint_every: int = option(500, help=help_of(TrainOptions, "checkpoint_every"))
    adamix: Mapping[str, Any] = option(
        default_factory=dict, help="options of AdaMix; with start current warm_up is 0 where it is not given"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.start in ("current", "scratch"), "start", self.start, "current or scratch")


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """Graphs, compared with the policy twice: at export, and in the stage parity on other observations."""

    enabled: bool = option(True, help="false: deploy with torch")
    observations: int = option(16, help="how many the graphs are compared on, each time")
    tolerance: float = option(1e-4, help="largest difference of an action that is allowed")

    def __post_init__(self) -> None:
        require(self.observations >= 1, "observations", self.observations, "1 or more")


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """The current version and the candidate on the same trials."""

    measure: str = option("auto", choices=MEASURES, help="simulator, held-out, or auto: simulator if the robot has one")
    appearances: tuple[str, ...] = option(
        (),
        help="looks of the simulator; none named: source and the graded shifts it has, as small, medium and large of "
        "the desk arm; those kept for final results (unseen_*) are refused",
    )
    task: str = option("", help="what is asked for in the simulator; empty: its first task")
    episodes: int = option(50, help="in each appearance, the same starts in all; cycle n takes the n-th 50")
    seed: int = option(20_000, help="of the first cycle's first start")
    latency_ms: float = option(60.0, help="from observation to usable chunk")
    timeout_s: float | None = option(None, help="an episode fails that has not ended by then; null: the simulator's")
    runtime: str = option("auto", help="for both")
    frames: int = option(8, help="held-out: compared in each episode")

    def __post_init__(self) -> None:
        require(self.measure in MEASURES, "measure", self.measure, f"one of {', '.join(MEASURES)}")
        require(self.episodes >= 1 and self.frames >= 1, "episodes or frames", self.episodes, "1 or more")
        require(self.seed >= 10_000, "seed", self.seed, "10000 or more: lower ones are for training")


@dataclass(frozen=True, kw_only=True)
class GateSettings:
    """Promote only what is better."""

    margin: float = option(0.0, help="the gain's 95 % interval must lie above this")
    guard: tuple[str, ...] = option(("source",), help="appearances that must not get worse ...")
    allowed_drop: float = option(0.05, help="... by more than this")

    def __post_init__(self) -> None:
        require(self.margin >= 0, "margin", self.margin, "0 or more")
        require(0 <= self.allowed_drop <= 1, "allowed_drop", self.allowed_drop, "0 to 1")


@dataclass(frozen=True, kw_only=True)
class PrioritySettings:
    """How the work stands back behind a live robot. The nice value also tells its load from that of others."""

    nice: int = option(15, help="1 to 19")
    idle_io: bool = option(True, help="use the disk only when no other process wants it")

    def __post_init__(self) -> None:
        require(1 <= self.nice <= 19, "nice", self.nice, "1 to 19: without it the load of others cannot be told apart")


@dataclass(frozen=True, kw_only=True)
class PauseSettings:
    """The work stands still while one of these holds. Shares are 0 to 1."""

    enabled: bool = option(True, help="false: never stand still")
    battery_below: float = option(0.5, help="not plugged in, and less than this left")
    others_cpu_above: float = option(0.8, help="share of all cores that processes of normal priority take")
    memory_below_mb: int = option(500, help="memory that could still be had")
    hold_s: float = option(5.0, help="load and memory must be so for this long, and otherwise again as long to go on")
    check_s: float = option(1.0, help="seconds between two looks")

    def __post_init__(self) -> None:
        for key in ("battery_below", "others_cpu_above"):
            require(0 <= getattr(self, key) <= 1, key, getattr(self, key), "a share of 0 to 1")
        require(self.check_s > 0 and self.hold_s >= 0, "check_s or hold_s", self.check_s, "above 0, and 0 or more")


@dataclass(frozen=True, kw_only=True)
class ImproveConfig:
    """Everything that decides a cycle's result."""

    robot: str = option(DEFAULT_ROBOT, help="a name that `emma robots` lists, or a path to a robot.yaml")
    bags: tuple[str, ...] = option((), help="folders where recorded episodes turn up, looked through at every start")
    datasets: tuple[str, ...] = option(
        (), help="LeRobotDatasets to train on in every cycle, as the demonstrations the policy came from"
    )
    human: tuple[str, ...] = option(
        (), help="datasets of hands (`emma human import`) to train on in every cycle; they need end-effector actions"
    )
    policy: str = option("", help="bundle to begin with; it becomes version 1, and is not looked at afterwards")
    out: str = option("improve", help="gets cycles/, versions/, generated/ and state.json")
    seed: int = option(0, help="of everything that is drawn; cycle n uses seed + n")
    min_new_episodes: int = option(1, help="fewer new episodes are left to wait for others")
    keep: int = option(5, help="versions kept, the current one and the one before it always among them")
    convert: ConvertSettings = option(default_factory=ConvertSettings, help="new bags -> dataset")
    augment: AugmentSettings = option(
        default_factory=AugmentSettings, help="every real dataset in new looks; skipped without a generator"
    )
    filter: FilterSettings = option(
        default_factory=FilterSettings, help="stops an augmentation that went wrong; that itself decides what is kept"
    )
    train: TrainSettings = option(default_factory=TrainSettings, help="as the options of `emma train`")
    export: ExportSettings = option(
        default_factory=ExportSettings, help="graphs, checked here and in the stage parity on other observations"
    )
    evaluate: EvaluateSettings = option(
        default_factory=EvaluateSettings, help="the current version and the candidate on the same trials"
    )
    gate: GateSettings = option(default_factory=GateSettings, help="promote only if better")
    priority: PrioritySettings = option(default_factory=PrioritySettings, help="beside a live robot")
    pause: PauseSettings = option(default_factory=PauseSettings, help="the work stands still while one of these holds")

    def __post_init__(self) -> None:
        require(self.keep >= 2, "keep", self.keep, "2 or more: one that runs and one to go back to")
        require(self.min_new_episodes >= 1, "min_new_episodes", self.min_new_episodes, "1 or more")

    @property
    def root(self) -> Path:
        return Path(self.out)

    @property
    def spec(self) -> RobotSpec:
        """Raises EmmaError if there is no such robot."""
        return load_robot(self.robot)

    @property
    def measure(self) -> str:
        """simulator or held-out."""
        if self.evaluate.measure != "auto":
            return self.evaluate.measure
        return "simulator" if self.spec.simulated else "held-out"


def example() -> str:
    """A configuration file with every key, its default and what it does."""
    return yaml_example(ImproveConfig, HEADING)


def load_config(path: Path | str) -> ImproveConfig:
    """Read a YAML file. Relative paths in it are from its own folder, so that it means the same wherever it is read."""
    config = build(ImproveConfig, read_yaml(path), str(path))
    return anchored(config, Path(path).resolve().parent)


def anchored(config: ImproveConfig, folder: Path) -> ImproveConfig:
    """Relative paths taken from `folder`."""

    def place(text: str) -> str:
        return str(folder / text) if text else ""

    augment = config.augment
    path = "/" in config.robot or Path(config.robot).suffix
    return replace(
        config,
        robot=place(config.robot) if path else config.robot,
        bags=tuple(map(place, config.bags)),
        datasets=tuple(map(place, config.datasets)),
        human=tuple(map(place, config.human)),
        policy=place(config.policy),
        out=place(config.out),
        augment=replace(augment, generator=place(augment.generator)),
    )


def quick(config: ImproveConfig) -> ImproveConfig:
    """The same in minutes, to see it run: too few steps and episodes to expect a better policy."""
    looks = config.gate.guard or config.evaluate.appearances
    return replace(
        config,
        train=replace(config.train, steps=min(config.train.steps, 60), batch_size=min(config.train.batch_size, 16)),
        export=replace(config.export, observations=2),
        evaluate=replace(config.evaluate, episodes=min(config.evaluate.episodes, 3), appearances=looks),
        augment=replace(config.augment, variants=1),
    )
