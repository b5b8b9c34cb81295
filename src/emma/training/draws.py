"""The sampler of a configuration: which frames may be drawn, in which groups and shares."""

from collections import Counter

from emma.training.config import TrainConfig
from emma.training.frames import FrameTable
from emma.training.mixture import shares
from emma.training.sampler import FrameSampler


def frame_sampler(
    config: TrainConfig, table: FrameTable, processes: int, drop_last: int = 0
) -> tuple[FrameSampler, dict[str, float]]:
    """The sampler, and the share of each kind of data among its samples. drop_last: frames an episode's end loses.

    Raises EmmaError for a ratio that does not fit the data.
    """
    frames: Counter[str] = Counter()
    for source in table.sources:
        frames[source.kind] += source.meta.total_frames
    share = shares(list(frames), frames, config.sampler, config.ratio)
    kinds = [kind for kind in share if share[kind] > 0]
    together = config.batch_size * processes
    if config.sampler == "uniform" or len(kinds) == 1:
        return FrameSampler([table.drawable(kinds, drop_last)], [1.0], together, config.seed), share
    groups = [table.drawable([kind], drop_last) for kind in kinds]
    return FrameSampler(groups, [share[kind] for kind in kinds], together, config.seed), share
