"""What a training makes of the frames in which a person had taken the robot over from a policy."""

import math
from dataclasses import dataclass

import numpy as np

from emma.errors import EmmaError

FORMS = "all, none, only, or weight=K with K above 0"
_FIXED = {"all": (1.0, 1.0), "none": (1.0, 0.0), "only": (0.0, 1.0)}


@dataclass(frozen=True, kw_only=True)
class Interventions:
    """How often a frame is drawn against others, by who had the robot. 0: never."""

    others: float
    interventions: float

    def weights(self, marked: np.ndarray) -> np.ndarray:
        """(N,) float64 of frames that are interventions where `marked` (N,) bool."""
        return np.where(marked, self.interventions, self.others)


def parse_interventions(text: str) -> Interventions:
    """One of FORMS. Raises EmmaError for anything else."""
    if text in _FIXED:
        others, interventions = _FIXED[text]
        return Interventions(others=others, interventions=interventions)
    name, _, value = text.partition("=")
    try:
        weight = float(value)
    except ValueError:
        weight = 0.0
    if name != "weight" or not 0 < weight < math.inf:
        raise EmmaError("bad training option interventions", found=text, expected=FORMS)
    return Interventions(others=1.0, interventions=weight)
