"""Are the joins of generation windows visible? The colour step at joins against that inside windows."""

from collections.abc import Sequence

import numpy as np

# Grey levels added to both sides: a static clip has no step inside windows, and rounding to 8 bits is no seam.
FLOOR = 0.5


def seam_ratio(step: np.ndarray, joins: Sequence[int]) -> float:
    """(mean step into a join + FLOOR) / (mean step elsewhere + FLOOR); 1: invisible joins; NaN without joins.

    step: (T - 1,) colour change from frame t to t + 1 in grey levels (`flicker.step_sums`, absolute over count);
    joins: the first frame of every window but the first, in 1..T-1.
    """
    at = np.zeros(len(step), bool)
    at[[join - 1 for join in joins]] = True
    at_joins, inside = step[at & np.isfinite(step)], step[~at & np.isfinite(step)]
    if not len(at_joins) or not len(inside):
        return float("nan")
    return float((at_joins.mean() + FLOOR) / (inside.mean() + FLOOR))
