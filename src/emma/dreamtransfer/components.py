"""What a window of a generator is drawn with, and what draws it."""

from typing import Any, Protocol

import numpy as np

from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.settings import Settings


class Components(Protocol):
    """The parts of a diffusers pipeline, by diffusers' names. config: what `model_index.json` stores beside them."""

    tokenizer: Any
    text_encoder: Any
    vae: Any
    transformer: Any
    scheduler: Any

    @property
    def config(self) -> Any: ...


class WindowModel(Protocol):
    """Draws windows of joined views.

    guide: `guide` of the T frames of one window, or of `windows` windows of equal length, one after the other, that
    share no frame; it follows from the clip alone, so variants can share it.
    known: (T, H, V W, 3) uint8 of which the first `count` frames are to be kept; 0 for several windows.
    Returns (T, H, V W, 3) uint8.
    """

    # How many frames of independent windows are drawn at once; 0 for one window at a time.
    frames_at_once: int

    def guide(self, clip: Clip, settings: Settings) -> Any: ...

    def __call__(
        self, guide: Any, prompt: str, settings: Settings, *, known: np.ndarray, count: int, seed: int, windows: int = 1
    ) -> np.ndarray: ...
