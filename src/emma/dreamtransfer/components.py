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
    """Draws one window of joined views.

    clip: T frames of the views. known: (T, H, V W, 3) uint8 of which the first `count` frames are to be kept.
    Returns (T, H, V W, 3) uint8.
    """

    def __call__(
        self, clip: Clip, prompt: str, settings: Settings, *, known: np.ndarray, count: int, seed: int
    ) -> np.ndarray: ...
