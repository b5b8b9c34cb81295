"""Normalisation as LeRobot's processors do it, read out of a saved pipeline as one shift and scale a feature."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from emma.errors import EmmaError


class Affine:
    """normalised = (x - shift) / scale, float32. Both have the feature's shape, or one that broadcasts to it."""

    def __init__(self, shift: np.ndarray, scale: np.ndarray) -> None:
        self.shift = np.asarray(shift, np.float32)
        self.scale = np.asarray(scale, np.float32)

    @property
    def identity(self) -> bool:
        return bool(np.all(self.shift == 0.0) and np.all(self.scale == 1.0))


def normaliser(steps: Iterable[Any]) -> Any:
    """The (un)normaliser among the steps of a pipeline. Raises EmmaError if there is none."""
    for step in steps:
        if hasattr(step, "norm_map") and hasattr(step, "features"):
            return step
    raise EmmaError("this policy cannot be exported", found="no normaliser in its processors", expected="one")


def affine(step: Any, key: str, *, inverse: bool = False) -> Affine:
    """What the normaliser `step` does to feature `key`; identity where it has no statistics for it.

    inverse: for an un-normaliser, which leaves out the epsilon that guards the division.
    Raises EmmaError for a mode that is not affine.
    """
    feature = step.features[key]
    mode = getattr(step.norm_map.get(feature.type), "value", "IDENTITY")
    stats = {}
    for name, tensor in step.state_dict().items():
        owner, _, statistic = name.rpartition(".")
        if owner == key:
            stats[statistic] = tensor.double().numpy()
    if mode == "IDENTITY" or not stats:
        return Affine(np.zeros(()), np.ones(()))
    if mode == "MEAN_STD":
        return Affine(stats["mean"], stats["std"] + (0.0 if inverse else step.eps))
    bounds = {"MIN_MAX": ("min", "max"), "QUANTILES": ("q01", "q99"), "QUANTILE10": ("q10", "q90")}
    if mode not in bounds:
        raise EmmaError("this policy cannot be exported", found=f"normalisation {mode}", expected="an affine one")
    # [low, high] to [-1, 1]; a feature that never moved has LeRobot's epsilon as its width.
    low, high = (stats[name] for name in bounds[mode])
    width = np.where(high == low, step.eps, high - low)
    return Affine(low + width / 2.0, width / 2.0)
