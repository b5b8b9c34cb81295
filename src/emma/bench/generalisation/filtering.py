"""What the filter's scores and AdaMix' error go with: a clip's look, or how far its pictures are from true ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from emma.bench.generalisation.data import Data, episodes_of, kept_clips
from emma.bench.generalisation.difficulty import clip_errors
from emma.bench.generalisation.plan import CAMERAS
from emma.bench.generalisation.training import Policy
from emma.dreamtransfer.filter_config import MORE_IS_BETTER
from emma.training.frames import FrameTable, open_source

# One frame in so many is compared.
EVERY = 8
HARD = "AdaMix' error"


def filter_figures(data: Data, judges: Sequence[Policy] = ()) -> list[dict[str, Any]]:
    """A line a score, over the clips that were kept: rank correlations (Spearman). judges: trainings with AdaMix.

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
    scores = {
        name: np.array([np.nan if (v := clip["scores"].get(name)) is None else v for clip in clips], np.float64)
        for name in MORE_IS_BETTER
    }
    if (hard := clip_errors(judges)) is not None and len(hard) == len(clips):
        scores[HARD] = hard
    lines = []
    for name, values in scores.items():
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
