"""What the filter's scores go with: the look of a clip, or how far its pictures are from the true ones."""

from typing import Any

import numpy as np

from emma.bench.generalisation.data import Data, episodes_of, kept_clips
from emma.bench.generalisation.plan import CAMERAS
from emma.dreamtransfer.filter import MORE_IS_BETTER
from emma.training.frames import FrameTable, open_source

# One frame in so many is compared.
EVERY = 8


def filter_figures(data: Data) -> list[dict[str, Any]]:
    """A line a score, over the clips that were kept: rank correlations (Spearman).

    with_contrast: with the standard deviation of the true pictures; with_error: with the generated pictures' mean
    squared error against them, divided by their variance. Empty unless every kept clip was re-rendered.
    """
    from scipy.stats import spearmanr

    clips = kept_clips(data)
    if len(clips) < 3 or episodes_of(data.true()) != len(clips):
        return []
    made = FrameTable([open_source(folder) for folder in data.clips("whole")], CAMERAS)
    true = FrameTable([open_source(data.true())], CAMERAS)
    errors, contrasts = [], []
    for episode in range(len(clips)):
        error, variance = [], []
        for camera in CAMERAS:
            one, other = (_pictures(table, camera, episode) for table in (made, true))
            error.append(np.square(one - other).mean())
            variance.append(other.var())
        errors.append(np.mean(error) / np.mean(variance))
        contrasts.append(np.sqrt(np.mean(variance)))
    lines = []
    for name in MORE_IS_BETTER:
        values = np.array([np.nan if (v := clip["scores"].get(name)) is None else v for clip in clips], np.float64)
        if np.isfinite(values).all() and len(np.unique(values)) > 1:
            said = {
                "with_contrast": float(spearmanr(values, contrasts).statistic),
                "with_error": float(spearmanr(values, errors).statistic),
            }
            lines.append({"score": name, "clips": len(clips), **said})
    return lines


def _pictures(table: FrameTable, camera: str, episode: int) -> np.ndarray:
    first, end = table.starts[episode : episode + 2]
    return table.pixels(camera, np.arange(first, end, EVERY)).astype(np.float64)
