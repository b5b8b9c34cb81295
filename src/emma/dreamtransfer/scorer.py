"""Scores that need nothing but the clip, the generated pictures and the prompt: for robots without a simulator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.latest import Latest
from emma.dreamtransfer.metrics.boundary import boundary_of_bends, depth_bends
from emma.dreamtransfer.metrics.correspondence import Correspondence
from emma.dreamtransfer.metrics.flicker import contrast, flicker_error, follow_flow, follow_static, local_contrast
from emma.dreamtransfer.metrics.model_scores import depth_sq_rel, text_score
from emma.dreamtransfer.metrics.models import DepthModel, TextModel
from emma.dreamtransfer.metrics.multiview import ViewPairs, matched_points, multiview_error
from emma.errors import EmmaError

# Pixels judged at a time: following each costs some 200 bytes.
AT_ONCE = 8 << 20


@dataclass(frozen=True, kw_only=True)
class ClipScorer:
    """A `filter.Scorer`. depth_model, text_model: pretrained judges; without them their scores are NaN.

    `boundary_recall`, `boundary_f`: edges against depth edges. `multiview_error`, `flicker_error`: relative to what
    unrelated colours, and neighbouring pixels, of the same pictures would give, so that prompts with texture are not
    worse by themselves. `contrast`: in grey levels, says nothing about quality, but which clips can be compared.
    `matched_points`: per moment and pair of views. `depth_sq_rel`: m. `text_score`: 0..100.

    Long or large clips are judged in stretches of `at_once` pixels, and the scores' means by length given.
    """

    depth_model: DepthModel | None = None
    text_model: TextModel | None = None
    at_once: int = AT_ONCE
    _geometry: Latest["_Geometry"] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_geometry", Latest(_Geometry.of))

    def __call__(self, clip: Clip, generated: Mapping[str, np.ndarray], prompt: str) -> dict[str, float]:
        """Raises EmmaError if the generated pictures are not of the clip's views and shape."""
        check_generated(clip, generated)
        stretches = clip.stretches(self.at_once)
        if len(stretches) == 1:
            return self._scores(clip, generated, prompt, self._geometry(clip))
        scores = [
            self._scores(part, {view: images[a:b] for view, images in generated.items()}, prompt, _Geometry.of(part))
            for a, b in stretches
            for part in [clip.part(a, b)]
        ]
        return {name: _mean([part[name] for part in scores], stretches) for name in scores[0]}

    def _scores(
        self, clip: Clip, generated: Mapping[str, np.ndarray], prompt: str, geometry: "_Geometry"
    ) -> dict[str, float]:
        views = multiview_error(generated, geometry.pairs)
        edges = boundary_of_bends(generated, geometry.bends)
        nan = float("nan")
        flicker = (flicker_error(generated, geometry.following) + 1.0) / (local_contrast(generated) + 1.0)
        return {
            "boundary_f": edges.f,
            "boundary_recall": edges.recall if edges.expected else nan,
            "multiview_error": views.relative,
            "matched_points": matched_points(generated, clip.depth, clip.cameras),
            "flicker_error": flicker,
            "depth_sq_rel": depth_sq_rel(generated, clip.depth, self.depth_model) if self.depth_model else nan,
            "text_score": text_score(generated, prompt, self.text_model) if self.text_model else nan,
            "contrast": contrast(generated),
        }


@dataclass(frozen=True)
class _Geometry:
    """What the scores of all variants of a clip share."""

    pairs: ViewPairs
    following: Mapping[str, Correspondence]
    bends: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, clip: Clip) -> "_Geometry":
        following = {
            view: follow_static(clip.depth[view], clip.cameras[view])
            if view in clip.depth and view in clip.cameras
            else follow_flow(images)
            for view, images in clip.images.items()
            if len(clip) > 1
        }
        return cls(ViewPairs.find(clip.depth, clip.cameras), following, depth_bends(clip.depth))


def _mean(values: Sequence[float], stretches: Sequence[tuple[int, int]]) -> float:
    """Over the stretches that have one, by length; NaN if none has."""
    known, length = np.isfinite(values), np.array([b - a for a, b in stretches], float)
    return float(np.average(np.array(values)[known], weights=length[known])) if known.any() else float("nan")


def check_generated(clip: Clip, generated: Mapping[str, np.ndarray]) -> None:
    """Raise EmmaError unless `generated` has the clip's views, each (T, H, W, 3) uint8 as the clip's."""
    wanted = {view: (images.shape, images.dtype) for view, images in clip.images.items()}
    found = {view: (images.shape, images.dtype) for view, images in generated.items()}
    if wanted != found:
        raise EmmaError(
            "the generated pictures do not fit the clip",
            found=", ".join(f"{view} {shape} {dtype}" for view, (shape, dtype) in found.items()) or "none",
            expected=", ".join(f"{view} {shape} {dtype}" for view, (shape, dtype) in wanted.items()),
        )
