"""What one training run is: everything that decides its result."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from emma.adamix.config import AdaMixConfig
from emma.errors import EmmaError
from emma.training.interventions import parse_interventions
from emma.training.mixture import SAMPLERS

AUGMENTATIONS = ("none", "jitter", "randconv")
PRECISIONS = ("fp32", "bf16")
# Not part of what decides the result: they may change between a run and its resumption.
FREE = ("checkpoint_every", "log_every", "threads", "device")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """data: LeRobotDataset folders, each real unless it begins with `generated:` or `human:`;
    policy: a LeRobot policy type or a preset of `emma.training.policies`;
    options: policy configuration fields that differ from their defaults; cameras: names, or None for all;
    ema: decay of the averaged weights that the bundle holds, 0 = the last weights; init: bundle whose weights and
    processors the training starts from, its cameras and words included, empty for random weights.
    sampler: uniform (every frame as likely), fixmix (`ratio` of the samples not real, uniform within), adamix (the
    same ratio, hard episodes more often) or adamix-loss (fixmix draws, hard episodes weigh more in the loss);
    ratio: None for half; interventions: which of the frames a person corrected are drawn, and how often against
    others, as `emma.training.interventions` reads it; augment: change of the images' look in training."""

    data: tuple[str, ...]
    policy: str
    steps: int
    batch_size: int = 64
    seed: int = 0
    cameras: tuple[str, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    ema: float = 0.999
    precision: str = "fp32"
    device: str = "cpu"
    threads: int = 1
    checkpoint_every: int = 2000
    log_every: int = 50
    init: str = ""
    sampler: str = "uniform"
    ratio: float | None = None
    interventions: str = "all"
    augment: str = "none"
    adamix: AdaMixConfig = field(default_factory=AdaMixConfig)

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "threads", "checkpoint_every", "log_every"):
            if getattr(self, name) < 1:
                raise EmmaError(f"bad training option {name}", found=getattr(self, name), expected="1 or more")
        if not self.data:
            raise EmmaError("nothing to train on", found="no --data", expected="one or more LeRobotDataset folders")
        if not 0 <= self.ema < 1:
            raise EmmaError("bad training option ema", found=self.ema, expected="0 <= ema < 1")
        for name, known in (("precision", PRECISIONS), ("sampler", SAMPLERS), ("augment", AUGMENTATIONS)):
            if getattr(self, name) not in known:
                raise EmmaError(f"bad training option {name}", found=getattr(self, name), expected=" or ".join(known))
        if self.ratio is not None and not 0 <= self.ratio <= 1:
            raise EmmaError("bad training option ratio", found=self.ratio, expected="0 (all real) to 1 (none)")
        parse_interventions(self.interventions)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    def require_same(self, file: Path) -> None:
        """Raise EmmaError if the run in `file` was another one than this."""
        mine = json.loads(self.to_json())
        # A run from before an option existed had its default.
        default = json.loads(TrainConfig(data=("",), policy="", steps=1).to_json())
        said = json.loads(file.read_text())
        before = {**default, **said, "adamix": {**default["adamix"], **said.get("adamix", {})}}
        different = [key for key in mine if key not in FREE and before.get(key) != mine[key]]
        if different:
            raise EmmaError(
                f"{file.parent} holds another training run",
                found=", ".join(f"{key}={before.get(key)!r}" for key in different),
                expected=", ".join(f"{key}={mine[key]!r}" for key in different),
                fix="resume with the same options, or choose another --out",
            )
