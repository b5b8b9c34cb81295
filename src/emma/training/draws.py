"""The sampler of a configuration: which frames may be drawn, in which groups and shares."""

from typing import NamedTuple

import numpy as np

from emma.errors import EmmaError
from emma.training.config import TrainConfig
from emma.training.frames import FrameTable
from emma.training.interventions import parse_interventions
from emma.training.mixture import shares
from emma.training.sampler import FrameSampler


class Draws(NamedTuple):
    """shares: of each kind of data among the samples; corrected: the share of frames that a person corrected."""

    sampler: FrameSampler
    shares: dict[str, float]
    corrected: float


def frame_sampler(config: TrainConfig, table: FrameTable, processes: int, drop_last: int = 0) -> Draws:
    """drop_last: frames an episode's end loses.

    Raises EmmaError for a ratio that does not fit the data, and for data of which nothing is left to draw.
    """
    marked = table.interventions
    weights = parse_interventions(config.interventions).weights(marked)
    frames = {kind: table.drawable([kind], drop_last) for kind in dict.fromkeys(s.kind for s in table.sources)}
    sizes = {kind: float(weights[mine].sum()) for kind, mine in frames.items()}
    if empty := [kind for kind, size in sizes.items() if size == 0]:
        mine = marked[frames[empty[0]]]
        raise EmmaError(
            f"no {empty[0]} frame is left to train on",
            found=f"{int(mine.sum())} interventions in {len(mine)} frames",
            expected=f"some that are drawn with --interventions {config.interventions}",
            fix="leave out data without them, or draw all frames (--interventions all)",
        )
    share = shares(list(sizes), sizes, config.sampler, config.ratio)
    drawn = {kind: frames[kind][weights[frames[kind]] > 0] for kind in share if share[kind] > 0}
    if config.sampler == "uniform" or len(drawn) == 1:
        groups, parts = [np.sort(np.concatenate(list(drawn.values())))], [1.0]
    else:
        groups, parts = list(drawn.values()), [share[kind] for kind in drawn]
    # Weights that are all the same would draw the same frames, more slowly.
    base = weights if len(np.unique(weights[weights > 0])) > 1 else None
    sampler = FrameSampler(groups, parts, config.batch_size * processes, config.seed, base)
    corrected = sum(share[kind] * float(weights[mine] @ marked[mine]) / sizes[kind] for kind, mine in drawn.items())
    return Draws(sampler, share, corrected)
