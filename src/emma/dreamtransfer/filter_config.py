"""How strict the filter of generated clips is."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from emma.errors import EmmaError
from emma.options import option

# What the scores of `emma.dreamtransfer.scorer.ClipScorer` say: True where more is better.
# `boundary_f` is reported but not judged: its precision is lower for every prompt with a texture.
MORE_IS_BETTER: Mapping[str, bool] = {
    "boundary_recall": True,
    "multiview_error": False,
    "matched_points": True,
    "flicker_error": False,
    "depth_sq_rel": False,
    "text_score": True,
}


@dataclass(frozen=True, kw_only=True)
class FilterConfig:
    """How strict the filter is.

    more_is_better: which scores are judged, and in which direction.
    limits: absolute bounds that hold whatever the quantiles say (lower bounds where more is better, else upper ones).
    alike: the score in which clips are near each other that are compared; without it each is compared with all.
    """

    reject: float = option(0.0, help="share of a run's clips to reject at most, 0 to 1", metavar="SHARE")
    more_is_better: Mapping[str, bool] = field(default_factory=lambda: dict(MORE_IS_BETTER))
    limits: Mapping[str, float] = field(default_factory=dict)
    alike: str = "contrast"

    def __post_init__(self) -> None:
        if not 0.0 <= self.reject < 1.0:
            raise EmmaError("the share of clips to reject is out of range", found=self.reject, expected="0 <= x < 1")
        unknown = sorted(set(self.limits) - set(self.more_is_better))
        if unknown:
            raise EmmaError(
                "a limit on a score that is not judged",
                found=", ".join(unknown),
                expected=f"some of {', '.join(sorted(self.more_is_better))}",
            )
