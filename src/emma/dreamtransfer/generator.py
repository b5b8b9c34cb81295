"""What the augmentation needs of a generator, whatever its size."""

from typing import Protocol

import numpy as np

from emma.dreamtransfer.clip import Clip


class Generator(Protocol):
    """Re-imagines a clip in the appearance that a prompt says: same motion, same geometry, other looks."""

    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> str:
        """Of weights and configuration together, hexadecimal."""
        ...

    @property
    def views(self) -> tuple[str, ...] | None:
        """The cameras it was made for, in order; None for any."""
        ...

    @property
    def needs_depth(self) -> bool:
        """Whether `generate` refuses a clip without depth; a generator that draws from edges alone does not."""
        ...

    def generate(self, clip: Clip, prompt: str, *, seed: int) -> dict[str, np.ndarray]:
        """Camera -> (T, H, W, 3) uint8 RGB for every view of `clip`, the same for the same arguments on one machine."""
        ...
