"""How a generator is run."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from emma.errors import EmmaError

# What the control branch sees of a clip: its depth, the edges in its pictures, or edges drawn over depth.
GUIDES = ("depth", "edges", "both")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """steps: of the solver. guidance: 1 is none. control: scale of the control branch, 0 leaves the depth out.

    window and overlap: frames. together: all views in one picture, else each by itself. same_noise: share of the noise
    that all frames of an episode have in common, 0..1; it keeps still things still. fuse: bring pixels together that
    show the same point (fusion.py), for depth and poses that can be trusted. guide: one of GUIDES.
    """

    steps: int = 4
    guidance: float = 1.0
    control: float = 1.0
    window: int = 8
    overlap: int = 2
    together: bool = True
    same_noise: float = 0.0
    fuse: bool = False
    guide: str = "depth"

    def __post_init__(self) -> None:
        good = self.steps >= 1 and self.guidance >= 1.0 and self.control >= 0.0 and 0.0 <= self.same_noise <= 1.0
        if not good or not 0 <= self.overlap < self.window or self.guide not in GUIDES:
            raise EmmaError(
                "settings a generator cannot run with",
                found=str(self),
                expected="steps and guidance from 1, control from 0, overlap below the window, same_noise in 0..1, "
                f"guide {' or '.join(GUIDES)}",
            )

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """The same with some fields changed. Raises EmmaError for an unknown name or a value of another kind."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in changes.items():
            kind = type(values[name]) if name in values else None
            fits = isinstance(value, int) and not isinstance(value, bool) if kind is float else False
            if kind is None or not (fits or type(value) is kind):
                raise EmmaError(
                    f"no such setting of a generator: {name}={value}",
                    found=name if kind is None else f"a {type(value).__name__}",
                    expected=", ".join(values) if kind is None else f"a {kind.__name__} such as {values[name]}",
                )
            values[name] = kind(value)
        return type(self)(**values)


# Wan2.1-VACE as its authors run it, but for fewer steps: 50 cost five thirds of these. Four frames are one latent, and
# the first is one by itself, so an overlap of 4 k + 1 frames is whole latents.
LARGE = Settings(steps=30, guidance=5.0, window=81, overlap=5)
