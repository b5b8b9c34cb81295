"""Ways to give a clip another look: the generator, the generator without one of its parts, recolouring."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import cv2
import numpy as np

from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.settings import Settings
from emma.dreamtransfer.windows import windows

# (clip, prompt, seed) -> camera -> (T, H, W, 3) uint8
Method = Callable[[Clip, str, int], Mapping[str, np.ndarray]]


# Frames of a window and of its overlap, for a generator that is run moment by moment.
WINDOWS: Final[dict[str, Any]] = {"window": 8, "overlap": 2}


class Adjustable(Protocol):
    """A generator whose settings can be changed for one call, as DreamTransfer's."""

    settings: Settings

    def __call__(self, clip: Clip, prompt: str, *, seed: int, **settings: Any) -> dict[str, np.ndarray]: ...


def with_settings(generator: Adjustable, **settings: Any) -> Method:
    """The generator, with some of its settings changed."""
    return lambda clip, prompt, seed: generator(clip, prompt, seed=seed, **settings)


def frames_alone(generator: Adjustable) -> Method:
    """Each moment by itself, with noise of its own: no frame knows of the others."""

    def generate(clip: Clip, prompt: str, seed: int) -> Mapping[str, np.ndarray]:
        made = [
            generator(clip.part(t, t + 1), prompt, seed=seed * len(clip) + t, window=1, overlap=0, fuse=False)
            for t in range(len(clip))
        ]
        return {view: np.concatenate([frame[view] for frame in made]) for view in clip.views}

    return generate


def ablations(generator: Adjustable) -> dict[str, Method]:
    """By name: in windows; without fusion; and without that, without the control branch, each view or frame alone."""
    return {
        "windows": with_settings(generator, **WINDOWS),
        "unfused": with_settings(generator, fuse=False),
        "no_depth": with_settings(generator, control=0.0, fuse=False),
        "views_alone": with_settings(generator, together=False, fuse=False),
        "frames_alone": frames_alone(generator),
    }


def joins(length: int, settings: Settings) -> list[int]:
    """The first new frame of every window but the first."""
    return [w.start + w.known for w in windows(length, settings.window, settings.overlap)[1:]]


def hue_shift(clip: Clip, prompt: str, seed: int) -> Mapping[str, np.ndarray]:
    """Classic augmentation: the source's hues turned by an angle that the seed draws. It cannot read the prompt."""
    turn = int(np.random.default_rng(seed).integers(20, 160))
    return {view: np.stack([_turned(picture, turn) for picture in pictures]) for view, pictures in clip.images.items()}


def _turned(picture: np.ndarray, turn: int) -> np.ndarray:
    hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)
    # OpenCV's 8-bit hue counts half degrees.
    hsv[..., 0] = (hsv[..., 0].astype(np.int16) + turn) % 180
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))
