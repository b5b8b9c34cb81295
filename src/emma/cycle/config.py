"""What one cycle shall do. `improve.yaml` beside this file explains every key; nothing else decides a result."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from emma.cycle.settings import build, read_yaml
from emma.errors import EmmaError

EXAMPLE = Path(__file__).with_name("improve.yaml")
KINDS = ("teleop", "intervention", "policy")
MEASURES = ("auto", "simulator", "held-out")


def require(condition: object, key: str, found: object, expected: str) -> None:
    """Raise EmmaError unless `condition` holds."""
    if not condition:
        raise EmmaError(f"bad value for {key}", found=found, expected=expected)


@dataclass(frozen=True, kw_only=True)
class ConvertSettings:
    """Which episodes are learned from. A policy's own episodes count only when somebody called them a success."""

    kinds: tuple[str, ...] = KINDS
    cameras: tuple[str, ...] | None = None
    depth: bool = True
    keep_failed: bool = False
    keep_recovered: bool = False
    keep_stale: bool = False
    held_out: float = 0.1

    def __post_init__(self) -> None:
        require(self.kinds and set(self.kinds) <= set(KINDS), "kinds", self.kinds, f"some of {', '.join(KINDS)}")
        require(0 <= self.held_out <= 0.5, "held_out", self.held_out, "a share of 0 to 0.5")


@dataclass(frozen=True, kw_only=True)
class AugmentSettings:
    """generator: bundle folder, empty for no augmentation. command: words of the program, {placeholders} filled in."""

    generator: str = ""
    prompts: str = "desk"
    variants: int = 2
    workers: int = 1
    command: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(self.variants >= 1 and self.workers >= 1, "variants or workers", self.variants, "1 or more")


@dataclass(frozen=True, kw_only=True)
class FilterSettings:
    """min_accepted: with a smaller share of kept clips, something is wrong, and none is trained on."""

    min_accepted: float = 0.5

    def __post_init__(self) -> None:
        require(0 <= self.min_accepted <= 1, "min_accepted", self.min_accepted, "a share of 0 to 1")


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """As the options of `emma train`. start: from the current policy's weights, or from scratch."""

    start: str = "current"
    policy: str = "spatial_flow"
    steps: int = 4000
    batch_size: int = 64
    sampler: str = "fixmix"
    ratio: float | None = None
    interventions: str = "all"
    augment: str = "none"
    adamix: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    ema: float = 0.999
    precision: str = "fp32"
    device: str = "cpu"
    threads: int = 1
    checkpoint_every: int = 500

    def __post_init__(self) -> None:
        require(self.start in ("current", "scratch"), "start", self.start, "current or scratch")
        require(self.steps >= 1, "steps", self.steps, "1 or more")


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """observations: how many the graphs are compared on, at export and again, on others, in the stage parity."""

    enabled: bool = True
    observations: int = 16
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        require(self.observations >= 1, "observations", self.observations, "1 or more")


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """How both policies are measured. seed: of the first cycle's first episode; each cycle takes the ones after."""

    measure: str = "auto"
    appearances: tuple[str, ...] = ("source", "small", "medium", "large")
    episodes: int = 50
    seed: int = 20_000
    latency_ms: float = 60.0
    timeout_s: float = 13.0
    runtime: str = "auto"
    frames: int = 8

    def __post_init__(self) -> None:
        require(self.measure in MEASURES, "measure", self.measure, f"one of {', '.join(MEASURES)}")
        require(self.appearances, "appearances", "none", "one or more looks of the simulator")
        require(self.episodes >= 1 and self.frames >= 1, "episodes or frames", self.episodes, "1 or more")
        require(self.seed >= 10_000, "seed", self.seed, "10000 or more: lower ones are for training")


@dataclass(frozen=True, kw_only=True)
class GateSettings:
    """margin: the gain must be above it; allowed_drop: how much an appearance in `guard` may lose."""

    margin: float = 0.0
    guard: tuple[str, ...] = ("source",)
    allowed_drop: float = 0.05

    def __post_init__(self) -> None:
        require(self.margin >= 0, "margin", self.margin, "0 or more")
        require(0 <= self.allowed_drop <= 1, "allowed_drop", self.allowed_drop, "0 to 1")


@dataclass(frozen=True, kw_only=True)
class PrioritySettings:
    """How the work stands back behind a live robot. The nice value also tells its load from that of others."""

    nice: int = 15
    idle_io: bool = True

    def __post_init__(self) -> None:
        require(1 <= self.nice <= 19, "nice", self.nice, "1 to 19: without it the load of others cannot be told apart")


@dataclass(frozen=True, kw_only=True)
class PauseSettings:
    """When the work stands still. Shares are 0..1; hold_s: a rule must hold, or no longer hold, for so long."""

    enabled: bool = True
    battery_below: float = 0.5
    others_cpu_above: float = 0.8
    memory_below_mb: int = 500
    hold_s: float = 5.0
    check_s: float = 1.0

    def __post_init__(self) -> None:
        for key in ("battery_below", "others_cpu_above"):
            require(0 <= getattr(self, key) <= 1, key, getattr(self, key), "a share of 0 to 1")
        require(self.check_s > 0 and self.hold_s >= 0, "check_s or hold_s", self.check_s, "above 0, and 0 or more")


@dataclass(frozen=True, kw_only=True)
class ImproveConfig:
    """Everything. bags: folders where episodes turn up; datasets: LeRobotDatasets to train on in every cycle;
    policy: the first version, bundle folder; out: folder of cycles and versions; keep: versions to keep."""

    robot: str = "desk_arm"
    bags: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    policy: str = ""
    out: str = "improve"
    seed: int = 0
    min_new_episodes: int = 1
    keep: int = 5
    convert: ConvertSettings = field(default_factory=ConvertSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    filter: FilterSettings = field(default_factory=FilterSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    evaluate: EvaluateSettings = field(default_factory=EvaluateSettings)
    gate: GateSettings = field(default_factory=GateSettings)
    priority: PrioritySettings = field(default_factory=PrioritySettings)
    pause: PauseSettings = field(default_factory=PauseSettings)

    def __post_init__(self) -> None:
        require(self.keep >= 2, "keep", self.keep, "2 or more: one that runs and one to go back to")
        require(self.min_new_episodes >= 1, "min_new_episodes", self.min_new_episodes, "1 or more")

    @property
    def root(self) -> Path:
        return Path(self.out)

    @property
    def measure(self) -> str:
        """simulator or held-out."""
        if self.evaluate.measure != "auto":
            return self.evaluate.measure
        return "simulator" if self.robot == "desk_arm" else "held-out"


def load_config(path: Path | str) -> ImproveConfig:
    """Read a YAML file. Relative paths in it are from its own folder, so that it means the same wherever it is read."""
    config = build(ImproveConfig, read_yaml(path), str(path))
    return anchored(config, Path(path).resolve().parent)


def anchored(config: ImproveConfig, folder: Path) -> ImproveConfig:
    """Relative paths taken from `folder`."""

    def place(text: str) -> str:
        return str(folder / text) if text else ""

    augment = config.augment
    return replace(
        config,
        bags=tuple(map(place, config.bags)),
        datasets=tuple(map(place, config.datasets)),
        policy=place(config.policy),
        out=place(config.out),
        augment=replace(augment, generator=place(augment.generator)),
    )


def quick(config: ImproveConfig) -> ImproveConfig:
    """The same in minutes, to see it run: too few steps and episodes to expect a better policy."""
    return replace(
        config,
        train=replace(config.train, steps=min(config.train.steps, 60), batch_size=min(config.train.batch_size, 16)),
        export=replace(config.export, observations=2),
        evaluate=replace(config.evaluate, episodes=min(config.evaluate.episodes, 3), appearances=("source", "medium")),
        augment=replace(config.augment, variants=1),
    )
