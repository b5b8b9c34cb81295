"""Normalisation of each embodiment by its own statistics, where a training asks for it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from emma.errors import EmmaError
from emma.policy.export.affine import affine, normaliser
from emma.training.frames import ACTION, STATE, FrameTable
from emma.training.pose_statistics import pose_statistics

HUMAN = "human"
MEAN_STD = "MEAN_STD"


class OwnScale:
    """Batches of a policy's pre-processor, in which human samples are normalised by human statistics.

    The policy's own statistics stay those of the robot: what it gives at deployment is the robot's.
    """

    def __init__(self, table: FrameTable, preprocessor: Any, offsets: Sequence[int], *, relative: bool, floor: float):
        """floor: least deviation. Raises EmmaError for a policy that does not normalise by mean and deviation."""
        step = normaliser(preprocessor.steps)
        modes = {getattr(step.norm_map.get(step.features[key].type), "value", "") for key in (STATE, ACTION)}
        if modes != {MEAN_STD}:
            raise EmmaError(
                "this policy cannot normalise each embodiment by itself",
                found=f"normalisation {', '.join(sorted(modes))}",
                expected=MEAN_STD,
                fix="use --normalisation shared",
            )
        own = pose_statistics(table, [HUMAN], offsets, relative=relative)
        self._human = np.array([source.kind == HUMAN for source in table.sources])[table.source_of_frame]
        self._change = {}
        for key in (STATE, ACTION):
            shared, scale = affine(step, key), np.maximum(own[key]["std"], floor)
            self._change[key] = tuple(
                torch.from_numpy(np.asarray(values, np.float32))
                for values in (shared.scale / scale, (shared.shift - own[key]["mean"]) / scale)
            )

    def __call__(self, batch: dict[str, Any], indices: np.ndarray) -> None:
        """Change the normalised state and action of human samples in place."""
        rows = torch.from_numpy(self._human[indices])
        for key, (scale, shift) in self._change.items():
            values = batch[key]
            mine = rows.to(values.device).reshape(-1, *[1] * (values.ndim - 1))
            batch[key] = torch.where(mine, values * scale.to(values) + shift.to(values), values)
