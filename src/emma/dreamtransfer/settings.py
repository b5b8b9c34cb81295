"""How a generator is run."""

from dataclasses import dataclass

from emma.errors import EmmaError


@dataclass(frozen=True, kw_only=True)
class Settings:
    """steps: of the solver. guidance: 1 is none. control: scale of the control branch, 0 leaves the depth out.

    window and overlap: frames. together: all views in one picture, else each by itself. same_noise: share of the noise
    that all frames of an episode have in common, 0..1; it keeps still things still. fuse: bring pixels together that
    show the same point (fusion.py), for depth and poses that can be trusted.
    """

    steps: int = 4
    guidance: float = 1.0
    control: float = 1.0
    window: int = 8
    overlap: int = 2
    together: bool = True
    same_noise: float = 0.0
    fuse: bool = False

    def __post_init__(self) -> None:
        good = self.steps >= 1 and self.guidance >= 1.0 and self.control >= 0.0 and 0.0 <= self.same_noise <= 1.0
        if not good or not 0 <= self.overlap < self.window:
            raise EmmaError(
                "settings a generator cannot run with",
                found=str(self),
                expected="steps and guidance from 1, control from 0, overlap below the window, same_noise in 0..1",
            )
