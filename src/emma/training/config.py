"""What one training run is: everything that decides its result."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from emma.adamix.config import AdaMixConfig
from emma.device import AUTO
from emma.device import HELP as DEVICES
from emma.errors import EmmaError
from emma.options import option
from emma.training.interventions import parse_interventions
from emma.training.mixture import SAMPLERS

AUGMENTATIONS = ("none", "jitter", "randconv")
JOINT, EE, EE_ABSOLUTE = "joint", "ee", "ee-absolute"
ACTION_SPACES = (JOINT, EE, EE_ABSOLUTE)
NORMALISATIONS = ("shared", "embodiment")
PRECISIONS = ("fp32", "bf16")
# Not part of what decides the result: they may change between a run and its resumption.
FREE = ("checkpoint_every", "log_every", "threads", "device")


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How a policy is trained, whatever it is trained on: options of `emma train`, and of a cycle's section `train`."""

    policy: str = option(
        "spatial_flow", help="policy type of LeRobot, or a preset of emma: act_small, smolvla_small, ..."
    )
    steps: int = option(12_000, help="optimiser steps")
    batch_size: int = option(64, help="frames a step")
    sampler: str = option(
        "uniform",
        choices=SAMPLERS,
        help="which frames are drawn: uniform (every frame alike), fixmix (`ratio` of what is not real, uniform "
        "within), adamix (fixmix with hard episodes more often), adamix-loss (fixmix draws, hard episodes weigh more)",
    )
    ratio: float | None = option(
        None, metavar="SHARE", help="share of generated and human samples, 0 to 1; half where none is given"
    )
    interventions: str = option(
        "all",
        metavar="RULE",
        help="frames in which a person had taken over from a policy: all (drawn as others are), weight=K (K times as "
        "often), only (nothing else), none",
    )
    augment: str = option("none", choices=AUGMENTATIONS, help="random look of the training images")
    action_space: str = option(
        JOINT,
        choices=ACTION_SPACES,
        help="what an action is: joint targets (joint), tool poses in the current tool frame (ee) or in the base frame "
        "(ee-absolute); ee reads joint datasets through forward kinematics and takes recordings of hands, too",
    )
    normalisation: str = option(
        "shared", choices=NORMALISATIONS, help="statistics of human data: shared with all, or of each embodiment"
    )
    options: Mapping[str, Any] = option(
        default_factory=dict, flag="set", help="option of the policy, value as JSON; may be repeated"
    )
    ema: float = option(0.999, metavar="DECAY", help="decay of averaged weights, 0 for the last weights")
    precision: str = option("fp32", choices=PRECISIONS, help="autocast precision")
    device: str = option(AUTO, help=DEVICES)
    threads: int = option(1, metavar="N", help="torch's processor threads; on a busy machine fewer are faster")
    checkpoint_every: int = option(2000, metavar="STEPS", help="steps between checkpoints: what a kill loses at most")

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "threads", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise EmmaError(f"bad training option {name}", found=getattr(self, name), expected="1 or more")
        if not 0 <= self.ema < 1:
            raise EmmaError("bad training option ema", found=self.ema, expected="0 <= ema < 1")
        for name, known in (
            ("precision", PRECISIONS),
            ("sampler", SAMPLERS),
            ("augment", AUGMENTATIONS),
            ("action_space", ACTION_SPACES),
            ("normalisation", NORMALISATIONS),
        ):
            if getattr(self, name) not in known:
                raise EmmaError(f"bad training option {name}", found=getattr(self, name), expected=" or ".join(known))
        if self.ratio is not None and not 0 <= self.ratio <= 1:
            raise EmmaError("bad training option ratio", found=self.ratio, expected="0 (all real) to 1 (none)")
        parse_interventions(self.interventions)
        if self.normalisation != "shared" and self.action_space == JOINT:
            raise EmmaError(
                "joints of one robot have one normalisation",
                found=f"normalisation {self.normalisation}, action space {self.action_space}",
                expected="end-effector actions",
                fix="choose the action space ee",
            )


@dataclass(frozen=True, kw_only=True)
class TrainConfig(TrainOptions):
    """One training run. cameras: None for all; init: empty for random weights."""

    data: tuple[str, ...]
    cameras: tuple[str, ...] | None = option(None, help="cameras to use; all of the dataset where none is named")
    init: str = option("", metavar="BUNDLE", help="start from this bundle's weights, processors, cameras and words")
    robot: str = option("", metavar="NAME", help="robot that learns; the one that the data name where none is given")
    seed: int = option(0, help="seed of weights and draws")
    log_every: int = option(50, metavar="STEPS", help="steps between lines of the log")
    adamix: AdaMixConfig = field(default_factory=AdaMixConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.log_every < 1:
            raise EmmaError("bad training option log_every", found=self.log_every, expected="1 or more")
        if not self.data:
            raise EmmaError("nothing to train on", found="no --data", expected="one or more LeRobotDataset folders")

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
