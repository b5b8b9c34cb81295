"""What is measured of one generated clip against its true re-render, and the figures of many clips."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from emma.bench.dream_scene import CARD_EVERY, Look, Pictures, Take
from emma.dreamtransfer.metrics.boundary import boundary_score
from emma.dreamtransfer.metrics.colour import name_of_surface, pattern_names, surface_colours
from emma.dreamtransfer.metrics.correspondence import Correspondence
from emma.dreamtransfer.metrics.depth_error import simulator_depth_error
from emma.dreamtransfer.metrics.flicker import follow_static, step_sums
from emma.dreamtransfer.metrics.mask import object_iou
from emma.dreamtransfer.metrics.multiview import MultiviewError, ViewPairs, multiview_error
from emma.dreamtransfer.metrics.palette import Palette
from emma.dreamtransfer.metrics.psnr import psnr_db
from emma.dreamtransfer.metrics.seams import seam_ratio
from emma.sim.domains.domain import COLORS
from emma.sim.scene import CLASSES

# Whose colour the prompt names. The arm is left out: half of its segment is joints, which no prompt paints.
NAMED = ("cube", "bin", "plate", "table", "floor")
MOVING = ("arm", "gripper", "cube")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One clip. colours: share of right names per (segment, camera); flicker: sums of |change|, change^2 and pixels."""

    colours: Mapping[tuple[str, str], float]
    boundary_f: float
    psnr_db: float
    multiview: MultiviewError
    flicker: tuple[float, float, int]
    seam_ratio: float
    cube_iou: Mapping[str, float]
    depth_sq_rel: float
    seconds: float


class Judge:
    """Measures clips of one take in one look; what depends on the take alone is worked out once."""

    def __init__(self, take: Take, look: Look) -> None:
        self.take, self.look = take, look

    def __call__(self, generated: Pictures, seconds: float = 0.0, joins: Sequence[int] = ()) -> Measured:
        """generated: camera -> (T, H, W, 3) uint8; joins: the first frame of each window but the first."""
        take, look = self.take, self.look
        absolute, squared, count = step_sums(generated, self._following)
        with np.errstate(invalid="ignore"):
            step = np.where(count > 0, absolute / np.maximum(count, 1), np.nan)
        patterned = [CLASSES.index("table")] if look.domain.pattern != "plain" else []
        cube = CLASSES.index("cube")
        return Measured(
            colours=self._colours(generated),
            boundary_f=boundary_score(generated, take.clip.depth, take.classes, patterned).f,
            psnr_db=psnr_db(generated, look.images),
            multiview=multiview_error(generated, self._pairs),
            flicker=(float(absolute.sum()), float(squared.sum()), int(count.sum())),
            seam_ratio=seam_ratio(step, joins),
            cube_iou={
                c: object_iou(generated[c], look.images[c], self._palettes[c], take.classes[c], cube) for c in generated
            },
            depth_sq_rel=simulator_depth_error(generated, look.images, self._palettes, take.classes, take.clip.depth),
            seconds=seconds,
        )

    @cached_property
    def _pairs(self) -> ViewPairs:
        return ViewPairs.find(self.take.clip.depth, self.take.cameras)

    @cached_property
    def _palettes(self) -> Mapping[str, Palette]:
        return {c: Palette.learn(images, self.take.classes[c]) for c, images in self.look.images.items()}

    @cached_property
    def _following(self) -> Mapping[str, Correspondence]:
        depth, cameras = self.take.clip.depth, self.take.cameras
        moving = [CLASSES.index(name) for name in MOVING]
        return {c: follow_static(depth[c], cameras[c], np.isin(ids, moving)) for c, ids in self.take.classes.items()}

    def _colours(self, generated: Pictures) -> dict[tuple[str, str], float]:
        domain, words = self.look.domain, self.look.domain.words
        right: dict[tuple[str, str], float] = {}
        for camera in generated:
            ids = self.take.classes[camera][::CARD_EVERY]
            for segment in NAMED:
                light = (self.look.dark[camera], self.look.grey[camera], ids, CLASSES.index(segment))
                seen = surface_colours(generated[camera][::CARD_EVERY], *light)
                if segment == "table" and domain.pattern != "plain":
                    true = surface_colours(self.look.images[camera][::CARD_EVERY], *light)
                    names = pattern_names(seen, true, (domain.table, domain.accent), COLORS)
                    if names is not None:
                        right[segment, camera] = len({*names} & {words["table"], words["accent"]}) / 2.0
                elif (name := name_of_surface(seen, COLORS)) is not None:
                    right[segment, camera] = float(name == words[segment])
        return right


def figures(clips: Sequence[Measured], true: Sequence[Measured]) -> dict[str, float]:
    """The figures of one way to generate; `true`: the same clips as the simulator renders them.

    Ratios are of sums over all clips, each pixel alike. seconds_per_episode: the mean.
    """
    cameras = list(clips[0].cube_iou)
    return {
        "colour_accuracy": float(np.mean([v for clip in clips for v in clip.colours.values()])),
        "boundary_f": _mean([clip.boundary_f for clip in clips]),
        "boundary_ratio": _mean([clip.boundary_f for clip in clips]) / _mean([clip.boundary_f for clip in true]),
        "psnr_db": _mean([min(clip.psnr_db, 99.0) for clip in clips]),
        "multiview_ratio": _multiview(clips) / _multiview(true),
        "flicker_ratio": _flicker(clips)[0] / _flicker(true)[0],
        "flicker_rms_ratio": _flicker(clips)[1] / _flicker(true)[1],
        **{f"cube_iou_{c}": _mean([clip.cube_iou[c] for clip in clips]) for c in cameras},
        "multiview_levels": _multiview(clips),
        "flicker_rms_levels": _flicker(clips)[1],
        "flicker_mean_levels": _flicker(clips)[0],
        "depth_sq_rel_mm": 1000.0 * _mean([clip.depth_sq_rel for clip in clips]),
        "seam_ratio": _mean([clip.seam_ratio for clip in clips]),
        "seconds_per_episode": _mean([clip.seconds for clip in clips]),
    }


def colour_accuracy_by_segment(clips: Sequence[Measured]) -> dict[str, float]:
    """Segment -> share of right names."""
    found = {s: [v for clip in clips for (segment, _), v in clip.colours.items() if segment == s] for s in NAMED}
    return {segment: float(np.mean(values)) for segment, values in found.items() if values}


def _mean(values: Sequence[float]) -> float:
    known = [v for v in values if np.isfinite(v)]
    return float(np.mean(known)) if known else float("nan")


def _multiview(clips: Sequence[Measured]) -> float:
    seen = [clip.multiview for clip in clips if clip.multiview.points]
    return sum(m.error * m.points for m in seen) / max(1, sum(m.points for m in seen))


def _flicker(clips: Sequence[Measured]) -> tuple[float, float]:
    """Mean absolute and root mean square change in grey levels, over all followed pixels of all clips."""
    absolute, squared, count = np.sum([clip.flicker for clip in clips], axis=0)
    return float(absolute / max(1, count)), math.sqrt(squared / max(1, count))
