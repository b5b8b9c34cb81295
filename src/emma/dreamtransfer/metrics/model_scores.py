"""Scores that need a pretrained model: depth error and fit to the text, over a clip."""

from collections.abc import Mapping

import numpy as np

from emma.dreamtransfer.metrics.depth_error import align, squared_relative
from emma.dreamtransfer.metrics.models import DepthModel, TextModel


def depth_sq_rel(
    images: Mapping[str, np.ndarray], depth: Mapping[str, np.ndarray], model: DepthModel, every: int = 8
) -> float:
    """Sq.Rel (m) between a clip's depth and a model's estimate on the pictures, aligned per view; NaN without depth.

    images: camera -> (T, H, W, 3) uint8; depth: camera -> (T, H, W) uint16 mm; every `every`-th moment is looked at.
    """
    errors = []
    for view in images:
        if view in depth:
            truth = depth[view][::every]
            estimate = align(model(images[view][::every]), truth, inverse=model.inverse)
            errors.append(squared_relative(estimate, truth))
    return float(np.mean(errors)) if errors else float("nan")


def text_score(images: Mapping[str, np.ndarray], text: str, model: TextModel, every: int = 8) -> float:
    """100 x the mean cosine similarity of pictures and text, not below 0 (the scale of CLIPScore, Hessel et al. 2021).

    images: camera -> (T, H, W, 3) uint8; every `every`-th moment of each view is looked at.
    """
    similarity = [np.maximum(model(pictures[::every], text), 0.0) for pictures in images.values()]
    return 100.0 * float(np.mean(np.concatenate(similarity)))
