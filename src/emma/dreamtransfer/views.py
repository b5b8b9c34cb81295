"""Views side by side: one picture, so that one attention sees all cameras (left | middle | right)."""

from collections.abc import Mapping, Sequence

import numpy as np

from emma.errors import EmmaError


def join(images: Mapping[str, np.ndarray], views: Sequence[str]) -> np.ndarray:
    """(T, H, W, ...) of each view to (T, H, V W, ...), in the order of `views`."""
    return np.concatenate([images[view] for view in views], axis=2)


def split(joined: np.ndarray, views: Sequence[str]) -> dict[str, np.ndarray]:
    """The inverse of `join`. Raises EmmaError if the width does not divide."""
    if joined.shape[2] % len(views):
        raise EmmaError("joined views do not divide", found=f"width {joined.shape[2]}", expected=f"{len(views)} views")
    return dict(zip(views, np.split(joined, len(views), axis=2), strict=True))


def longer(images: np.ndarray, length: int) -> np.ndarray:
    """(T, ...) to (length, ...) by repeating the last frame, or by leaving out the end."""
    missing = max(0, length - len(images))
    return np.concatenate([images[:length], np.repeat(images[-1:], missing, axis=0)])
