"""What AdaMix found hard in the trainings of the table, and how much that says."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from emma.adamix import history
from emma.adamix.difficulty import METRICS
from emma.bench.generalisation.data import read_provenance
from emma.bench.generalisation.training import RUN, Policy


def difficulty_figures(policies: Sequence[Policy]) -> list[dict[str, Any]]:
    """A line a metric, means over the trainings that AdaMix took part in; empty without one.

    motion_first, motion_later: share of the spread among clips (R2) that the score of the demonstration they were made
    from explains, at the first evaluation and, on average, at later ones. again: correlation of a clip's scores at one
    evaluation and the next. effective: share of the samples that the weights leave effective, the least over sources.
    Of the error alone, look_first, look_later, look_last: the share of it, over all clips, that their demonstrations do
    not have, at the first, the second and the last evaluation.
    """
    found: dict[str, list[dict[str, float]]] = {metric: [] for metric in METRICS}
    effective, looks = [], []
    for policy in policies:
        rows = [row for row in history.read(policy.folder / RUN / history.FOLDER) if "error" in row]
        pairs = _pairs(policy) if len(rows) > 1 else []
        if len(pairs) < 3:
            continue
        clips, sources = np.array(pairs).T
        effective.append(float(np.mean([row["effective"] for row in rows])))
        looks.append([_beyond(np.array(row["raw_error"], np.float64), clips, sources) for row in rows])
        for metric in METRICS:
            scores = np.array([row[metric] for row in rows], np.float64)
            motion = [_correlation(one[clips], one[sources]) ** 2 for one in scores]
            again = [_correlation(one[clips], other[clips]) for one, other in pairwise(scores)]
            later = float(np.mean(motion[1:]))
            found[metric].append({"motion_first": motion[0], "motion_later": later, "again": float(np.mean(again))})
    return [
        {
            "metric": metric,
            "trainings": len(lines),
            "effective": float(np.mean(effective)),
            **{name: float(np.mean([line[name] for line in lines])) for name in lines[0]},
            **(_of_looks(looks) if metric == "error" else {}),
        }
        for metric, lines in found.items()
        if lines
    ]


def _beyond(error: np.ndarray, clips: np.ndarray, sources: np.ndarray) -> float:
    """Of all clips together: their error beyond that of their demonstrations, as a share of it; below 0 it is less."""
    return 1.0 - float(error[sources].mean() / error[clips].mean())


def _of_looks(looks: Sequence[Sequence[float]]) -> dict[str, float]:
    return {
        "look_first": float(np.mean([one[0] for one in looks])),
        "look_later": float(np.mean([one[1] for one in looks])),
        "look_last": float(np.mean([one[-1] for one in looks])),
    }


def clip_errors(policies: Sequence[Policy]) -> np.ndarray | None:
    """(clips,): AdaMix' error of each kept clip, mean over the trainings and their evaluations after the first."""
    found = []
    for policy in policies:
        rows = [row for row in history.read(policy.folder / RUN / history.FOLDER) if "error" in row]
        pairs = _pairs(policy) if len(rows) > 1 else []
        if pairs:
            found.append(np.mean([row["error"] for row in rows[1:]], axis=0)[[clip for clip, _ in pairs]])
    return np.mean(found, axis=0) if found else None


def _pairs(policy: Policy) -> list[tuple[int, int]]:
    """(clip, demonstration it was made from) as columns of the history."""
    file = policy.folder / RUN / history.FOLDER / history.EPISODES
    column = {name: number for number, name in enumerate(json.loads(file.read_text()))}
    real = policy.data.demonstrations.name
    pairs = []
    for folder in policy.data.clips(policy.recipe.way):
        for own, line in enumerate(read_provenance(folder)):
            clip = column.get(f"generated:{folder.name}#{own}")
            source = column.get(f"real:{real}#{line['from']['episode']}")
            if clip is not None and source is not None:
                pairs.append((clip, source))
    return pairs


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    if one.std() == 0 or other.std() == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
