"""Which episode of a table a generated one was made from."""

import numpy as np

from emma.datasets.index import read_provenance
from emma.training.frames import FrameTable


def origins(table: FrameTable) -> np.ndarray:
    """(E,) the real episode of the same actions that each generated one names as its source, -1 for none."""
    number = {(s, n): e for e, (s, n) in enumerate(zip(table.source_of, table.number_of, strict=True))}
    real = {source.root.name: place for place, source in enumerate(table.sources) if source.kind == "real"}
    made_from = np.full(len(table.source_of), -1)
    for place, source in enumerate(table.sources):
        if source.kind != "generated":
            continue
        for own, line in enumerate(read_provenance(source.root)):
            origin = line.get("from") or {}
            clip = number.get((place, own))
            episode = number.get((real.get(str(origin.get("dataset")), -1), origin.get("episode", -1)))
            if clip is not None and episode is not None and _same(table, clip, episode):
                made_from[clip] = episode
    return made_from


def _same(table: FrameTable, one: int, other: int) -> bool:
    # A dataset of that name may be another one by now.
    a, b = (table.actions[table.starts[e] : table.starts[e + 1]] for e in (one, other))
    return a.shape == b.shape and bool((a == b).all())
