"""Where a policy fails among random looks, and whether its error there predicts that before it is run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emma.bench.generalisation.data import Data, episodes_of
from emma.bench.generalisation.plan import CAMERAS, LOOKS, digest
from emma.bench.generalisation.training import Policy
from emma.files import atomic_write_text
from emma.robots.spec import load_robot
from emma.sim.demonstrations import demonstrate, domain_of, target_of
from emma.sim.domains import Domain
from emma.sim.evaluate import EpisodeResult

# Frames that an episode's error is the mean of, as AdaMix judges it.
FRAMES = 16
PATTERNS = ("plain", "speckled", "checker")
# A trained policy and its episodes in the random looks.
InLooks = tuple[Policy, Sequence[EpisodeResult]]


def folder_of(data: Data, seed: int) -> Path:
    """The expert's motions from the starts of the evaluation, each in its random look."""
    b = data.budget
    key = {"seed": seed, "looks": b.looks, "noise": b.noise, "cameras": CAMERAS, **b.other_task}
    return b.root / "data" / f"looks-{digest(key)}"


def film(data: Data, seed: int) -> None:
    """Make what is missing of them."""
    from emma.datasets.writer import DatasetWriter
    from emma.sim.arm import DeskArm

    spec, b = load_robot(), data.budget
    with (
        DatasetWriter(folder_of(data, seed), spec, cameras=CAMERAS, depth=False) as writer,
        DeskArm(spec, cameras=CAMERAS, task=b.task) as sim,
    ):
        for number in range(seed + writer.num_episodes, seed + b.looks):
            sim.set_domain(_look(number))
            # With noise the expert may fail; without it it does not.
            tries = (
                demonstrate(sim, number, target_of(number), noise=n, fps=spec.fps, depth=False) for n in (b.noise, 0)
            )
            episode = next(found for found in tries if found is not None)
            rows = zip(episode.observations, episode.action, strict=True)
            writer.add_episode(
                rows, episode.instruction, {"source": "simulator", "embodiment": spec.name, "seed": number}
            )


def filmed(data: Data, seed: int) -> float:
    """How much of `film` is done, 0..1."""
    return min(1.0, episodes_of(folder_of(data, seed)) / data.budget.looks)


def looks_figures(data: Data, seed: int, found: Sequence[InLooks]) -> list[dict[str, Any]]:
    """A line a recipe, means over its trainings. found: policy -> its episodes in the random looks.

    <pattern>: success by the table's pattern. error_trained, error_looks: of the policy's chunks against what was
    demonstrated, in normalised action units: on the episodes that it was trained on beside the demonstrations, or on
    these if on nothing else; and on the expert's motions in the looks.
    auc_looks: probability that its error is larger in a look in which it failed than in one in which it did not.
    """
    patterns = np.array([_look(seed + n).words["pattern"] for n in range(data.budget.looks)])
    lines = []
    for recipe in {policy.recipe.name: policy.recipe for policy, _ in found}.values():
        rows = []
        for policy, episodes in found:
            if policy.recipe == recipe:
                success = np.array([episode.success for episode in episodes])
                error = _kept_errors(policy, [folder_of(data, seed)])
                row = {name: float(success[patterns == name].mean()) for name in PATTERNS if (patterns == name).any()}
                known = data.beside(recipe.pictures, recipe.way) or [data.demonstrations]
                row["error_trained"] = float(_kept_errors(policy, known).mean())
                row["error_looks"] = float(error.mean())
                if 0 < success.sum() < len(success):
                    row["auc_looks"] = float((error[~success][:, None] > error[success][None]).mean())
                rows.append(row)
        names = dict.fromkeys(name for row in rows for name in row)
        means = {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}
        lines.append({"row": recipe.name, "about": recipe.about, "trainings": len(rows), **means})
    return lines


def _look(seed: int) -> Domain:
    found = domain_of(LOOKS, seed)
    assert isinstance(found, Domain)
    return found


def _kept_errors(policy: Policy, folders: Sequence[Path]) -> np.ndarray:
    """`errors`, judged once: the names of a policy and of datasets say all that decides them."""
    key = digest([folder.name for folder in folders])
    file = policy.budget.root / "errors" / f"{policy.folder.name}-{key}.json"
    if not file.is_file():
        atomic_write_text(file, json.dumps(errors(policy, folders).tolist()))
    return np.array(json.loads(file.read_text()))


def errors(policy: Policy, folders: Sequence[Path]) -> np.ndarray:
    """(E,) the policy's prediction error on each episode of some datasets, as AdaMix judges it."""
    from emma.adamix.config import AdaMixConfig
    from emma.adamix.difficulty import Difficulty
    from emma.policy.bundle import load_bundle
    from emma.policy.loading import load_policy
    from emma.training.difficulty_evaluator import Judge
    from emma.training.frames import FrameTable, open_source

    loaded = load_policy(load_bundle(policy.folder))
    table = FrameTable([open_source(folder) for folder in folders], CAMERAS)
    config = AdaMixConfig(frames=FRAMES)
    judge = Judge(config, table, loaded.pre, loaded.post, load_robot(), seed=policy.seed)
    difficulty = Difficulty.from_table(*judge(loaded.policy, 0))
    of = np.repeat(np.arange(len(table.starts) - 1), np.diff(table.starts))
    return difficulty.by_episode(of, len(table.starts) - 1)["error"]
