"""What is asked of an augmentation, and what became of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emma.device import AUTO
from emma.device import HELP as DEVICES
from emma.dreamtransfer.filter_config import FilterConfig
from emma.dreamtransfer.prompts import Prompt
from emma.errors import EmmaError
from emma.options import option

if TYPE_CHECKING:
    from emma.augmentation.clips import GeneratorCard
    from emma.datasets.source import SourceDataset

# How many prompts, seed -> the prompts.
PromptSource = Callable[[int, int], Sequence[Prompt]]


@dataclass(frozen=True, kw_only=True)
class ToolOptions:
    """What draws and scores clips.

    keep_robot: keep the robot's pixels by masks in this folder, or by the dataset's own where it is empty; None: draw
    everything.
    """

    generator: str = option(
        "", help="folder of the generator, or its name on the hub (default: the shipped one)", metavar="DIR"
    )
    lora: str | None = option(None, help="weights of `emma dream train --lora`, on top of the generator", metavar="DIR")
    settings: Mapping[str, Any] = option(
        default_factory=dict,
        help="setting of the generator: steps, guidance, control, window, overlap, guide, ...; repeatable",
        flag="set",
    )
    scores: bool = option(True, help="score clips; without scores nothing is rejected")
    depth_model: str | None = option(
        None, help="model of transformers: estimates depth that is not recorded, and scores", metavar="NAME"
    )
    text_model: str | None = option(
        None, help="CLIP-like model of transformers, to score how well prompts are met", metavar="NAME"
    )
    device: str = option(AUTO, help=f"where the generator and these two models run: {DEVICES}")
    keep_robot: str | None = None

    @property
    def decisive(self) -> dict[str, Any]:
        """What makes a result another one and is in no file of the generator."""
        found: dict[str, Any] = {"generator_settings": dict(self.settings)} if self.settings else {}
        if self.keep_robot is not None:
            found["kept_robot"] = self.keep_robot or "observation.mask"
        return found


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """One job. episodes: which of the source, None for all; workers, ray: as in `crew`.

    moments: pictures of each clip in the report. also: what else makes two jobs the same, such as settings of the
    generator; it goes into each clip's provenance.
    """

    variants: int = option(4, help="copies of each episode", metavar="N")
    seed: int = option(0, help="decides prompts and noise")
    episodes: tuple[int, ...] | None = None
    cameras: tuple[str, ...] | None = option(
        None, help="cameras to generate (default: those the generator is made for)"
    )
    drop_cameras: bool = option(
        True, help="leave out cameras of the dataset that the generator does not make, instead of an error"
    )
    video: bool | None = option(None, help="colour as lossy video (default: as in the dataset)")
    skip_failed: bool = option(False, help="leave out clips that cannot be made, instead of an error")
    workers: int | None = option(None, help="processes; 1 runs without Ray (default: one a GPU, else 1)", metavar="N")
    ray: str | None = option(None, help="run on this Ray cluster (default: this machine)", metavar="ADDRESS")
    filter: FilterConfig = field(default_factory=FilterConfig)
    moments: int = 6
    also: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.variants < 1 or self.moments < 1 or (self.workers is not None and self.workers < 1):
            raise EmmaError(
                "nothing to augment",
                found=f"variants {self.variants}, workers {self.workers}, moments {self.moments}",
                expected="1 or more of each",
            )
        if self.seed < 0:
            raise EmmaError("bad seed", found=self.seed, expected="0 or more")

    def chosen_episodes(self, source: "SourceDataset") -> tuple[int, ...]:
        """The episodes to augment. EmmaError for one that is not there."""
        total = len(source)
        chosen = tuple(range(total)) if self.episodes is None else tuple(sorted(set(self.episodes)))
        if not chosen or chosen[0] < 0 or chosen[-1] >= total:
            raise EmmaError(
                f"no such episodes in {source.root}",
                found=", ".join(map(str, chosen)) or "none",
                expected=f"0 to {total - 1}",
            )
        return chosen

    def chosen_cameras(self, source: "SourceDataset", card: "GeneratorCard") -> tuple[str, ...]:
        """The cameras to generate. EmmaError if others are there that may not be left out."""
        cameras = self.cameras or card.views or source.cameras
        if card.views is not None and set(cameras) != set(card.views):
            raise EmmaError(
                f"the generator {card.name} makes other cameras",
                found=", ".join(cameras),
                expected=", ".join(card.views),
                fix="leave --cameras out, or choose another generator",
            )
        others = [camera for camera in source.cameras if camera not in cameras]
        if others and not self.drop_cameras:
            raise EmmaError(
                f"the generator {card.name} does not make every camera of {source.root}",
                found=f"no {', '.join(others)}",
                expected=", ".join(source.cameras),
                fix="leave them out with --drop-cameras",
            )
        return cameras


@dataclass(frozen=True, kw_only=True)
class AugmentReport:
    """clips: asked for; made: now; kept: from before; failed: left out because they could not be made."""

    clips: int
    accepted: int
    rejected: int
    failed: int
    made: int
    kept: int
    seconds: float
    cameras: tuple[str, ...]
    dropped_cameras: tuple[str, ...]
    page: Path

    @property
    def seconds_per_clip(self) -> float:
        return self.seconds / self.made if self.made else 0.0
