"""A trained policy in closed loop, through the controller that deploys, in batches that are kept."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from emma.bench.cells import Cells
from emma.bench.generalisation.plan import ROWS, UNSEEN, Budget, Recipe, digest, require_allowed
from emma.bench.generalisation.training import Policy
from emma.files import atomic_write_text
from emma.policy.exported import weights_of
from emma.sim.evaluate import EpisodeResult, EvalConfig
from emma.sim.tasks import DEFAULT

FOLDER, LOOKED = "trials", "unseen"


def run_trials(policy: Policy, appearances: Sequence[str], seed: int) -> None:
    """Whatever is missing of these appearances, episodes from `seed` on. Raises EmmaError for a forbidden one."""
    cells = open_cells(policy, seed)
    b = policy.budget
    if set(appearances) & set(UNSEEN):
        key = {**b.decisive(), "seed": seed, "clips": policy.data.names("kept", "whole"), "recipes": _recipes()}
        atomic_write_text(b.root / LOOKED / f"{digest(key)}.json", json.dumps(key, indent=2) + "\n")
    wanted = b.episodes_in(appearances)
    evaluate_bundle(policy.folder, policy.recipe, wanted, seed, b.batch, b.timeout_s, cells, b.task)


def looked(budget: Budget) -> list[str]:
    """The configurations that were taken to the unseen appearances in a workspace, as eight digits each. More than one
    is a choice made on the test set."""
    return sorted(file.stem for file in (budget.root / LOOKED).glob("*.json"))


def evaluate_bundle(
    bundle: Path,
    recipe: Recipe,
    episodes: Mapping[str, int],
    seed: int,
    batch: int,
    timeout_s: float,
    cells: Cells,
    task: str = DEFAULT,
) -> None:
    """Fill `cells` with batches of `episodes` (appearance -> how many); those that are there stay."""
    from emma.policy.bundle import load_bundle
    from emma.policy.runtime import open_runtime
    from emma.robots.spec import load_robot
    from emma.sim.arm import DeskArm
    from emma.sim.evaluate import evaluate

    for appearance in episodes:
        require_allowed(recipe, appearance)
    missing = [
        (appearance, first, number)
        for appearance, wanted in episodes.items()
        for first, number in batches(wanted, batch)
        if cells.get(name_of(appearance, first, number)) is None
    ]
    if not missing:
        return
    opened = load_bundle(bundle)
    with ExitStack() as stack:
        runtime = open_runtime(opened)
        stack.callback(runtime.close)
        sim = stack.enter_context(DeskArm(load_robot(opened.info.robot), cameras=opened.info.cameras))
        for appearance, first, number in missing:
            config = EvalConfig(
                episodes=number,
                seed=seed + first,
                domain=appearance,
                timeout_s=timeout_s,
                task=task,
                depth=opened.info.depth,
            )
            done = evaluate(sim, runtime, opened.info.fps, config)
            cells.put(
                name_of(appearance, first, number),
                {"runtime": done.runtime, "episodes": [asdict(episode) for episode in done.episodes]},
            )


def batches(episodes: int, batch: int) -> list[tuple[int, int]]:
    """(first, number) of each batch."""
    return [(first, min(batch, episodes - first)) for first in range(0, episodes, batch)]


def name_of(appearance: str, first: int, number: int) -> str:
    return f"{appearance}-{first:04d}-{number}"


def open_cells(policy: Policy, seed: int) -> Cells:
    """The kept batches of a trained policy."""
    weights = _weights(policy.folder, (policy.folder / "emma.json").stat().st_mtime_ns)
    key = {"weights": weights, "seed": seed, "timeout_s": policy.budget.timeout_s}
    key |= policy.budget.other_task
    return Cells(f"{policy.recipe.name}-{policy.seed}", key, policy.budget.root / FOLDER)


def _recipes() -> list[dict[str, Any]]:
    # The optimiser is the same for all rows and known from the budget.
    return [{name: value for name, value in asdict(row).items() if name != "rate"} for row in ROWS]


@cache
def _weights(bundle: Path, _written_ns: int) -> dict[str, str]:
    return weights_of(bundle)


def results(cells: Cells, appearance: str, episodes: int, batch: int) -> list[EpisodeResult] | None:
    """All episodes in one appearance, None while some are missing."""
    rows: list[dict[str, Any]] = []
    for first, number in batches(episodes, batch):
        kept = cells.get(name_of(appearance, first, number))
        if kept is None:
            return None
        rows += kept["episodes"]
    return [EpisodeResult(**row) for row in rows]


def tried(policy: Policy, appearances: Sequence[str], seed: int) -> float:
    """How much of `run_trials` is done, 0..1."""
    if not (policy.folder / "emma.json").is_file():
        return 0.0
    cells, b = open_cells(policy, seed), policy.budget
    wanted = [name_of(a, *part) for a, n in b.episodes_in(appearances).items() for part in batches(n, b.batch)]
    return sum((cells.folder / f"{name}.cell.json").is_file() for name in wanted) / len(wanted)
