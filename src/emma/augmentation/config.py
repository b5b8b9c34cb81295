"""What is asked of an augmentation, what became of it, and what stands in the way of one."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emma.augmentation.clips import GeneratorCard
from emma.datasets.features import IMAGES
from emma.datasets.source import SourceDataset
from emma.datasets.video import video_info
from emma.dreamtransfer.filter import FilterConfig
from emma.dreamtransfer.prompts import Prompt
from emma.errors import EmmaError

# How many prompts, seed -> the prompts.
PromptSource = Callable[[int, int], Sequence[Prompt]]

# PNG and AV1 of camera pictures against raw pixels, at worst; and what pages and tables of a job take.
_PNG_SHARE, _VIDEO_SHARE, _EXTRA_BYTES = 0.7, 0.05, 64 << 20


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """variants: of each episode. episodes: which of the source, None: all. cameras: None: those of the generator.

    drop_cameras: leave out cameras that the generator does not make; otherwise they are an error. video: store colour
    as lossy video; None: as the source does. skip_failed: a clip that cannot be made is left out, not an error.
    workers, ray: as in `crew`. moments: pictures of each clip in the report. also: what else makes two jobs the same,
    such as settings of the generator; it goes into each clip's provenance.
    """

    variants: int = 4
    seed: int = 0
    episodes: tuple[int, ...] | None = None
    cameras: tuple[str, ...] | None = None
    drop_cameras: bool = True
    video: bool | None = None
    skip_failed: bool = False
    workers: int | None = None
    ray: str | None = None
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

    def chosen_episodes(self, source: SourceDataset) -> tuple[int, ...]:
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

    def chosen_cameras(self, source: SourceDataset, card: GeneratorCard) -> tuple[str, ...]:
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
                fix="leave them out with --other-cameras drop",
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


def target_features(source: SourceDataset, video: bool) -> dict[str, dict]:
    """Features of the augmented dataset: the source's, colour as asked."""
    features = source.features
    for camera in source.cameras:
        height, width = source.size(camera)
        image: dict[str, Any] = {
            "dtype": "image",
            "shape": (height, width, 3),
            "names": ["height", "width", "channels"],
        }
        if video:
            image |= {"dtype": "video", "info": video_info(height, width, source.fps)}
        features[IMAGES + camera] = image
    return features


def require_depth(source: SourceDataset, model: bool) -> None:
    """EmmaError if a camera has no depth and there is no model to estimate it."""
    without = [camera for camera in source.cameras if camera not in source.depth_cameras]
    if without and not model:
        raise EmmaError(
            f"{source.root} has no depth for {', '.join(without)}",
            found=f"depth for {', '.join(source.depth_cameras) or 'no camera'}",
            expected="exact depth (16-bit images, mm) for every camera that is generated",
            fix="record depth topics, or estimate it: --depth-model depth-anything/Depth-Anything-V2-Small-hf",
        )


def require_apart(source: Path, out: Path) -> None:
    """EmmaError if one folder is inside the other."""
    a, b = source.resolve(), out.resolve()
    if a == b or a in b.parents or b in a.parents:
        raise EmmaError(
            "source and target overlap", found=f"{source} and {out}", expected="two folders beside each other"
        )


def require_disk(source: SourceDataset, episodes: Sequence[int], video: bool, out: Path) -> int:
    """Bytes that the clips of `episodes` (each as often as it is there) take. EmmaError if they are not free."""
    share = _VIDEO_SHARE if video else _PNG_SHARE
    height, width = source.size(source.cameras[0])
    sizes = {
        index: source.copied_bytes(index)
        + round(share * source.length(index) * height * width * 3 * len(source.cameras))
        for index in set(episodes)
    }
    # One clip lies there twice while it takes its place.
    needed = sum(sizes[index] for index in episodes) + max(sizes.values(), default=0) + _EXTRA_BYTES
    there = next(folder for folder in (out.resolve(), *out.resolve().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise EmmaError(
            f"not enough room on the disk of {out}",
            found=f"{free / 1e9:.2f} GB free",
            expected=f"about {needed / 1e9:.2f} GB for {len(episodes)} clips",
            fix="make room, choose another --out, fewer --variants, or --video",
        )
    return needed
