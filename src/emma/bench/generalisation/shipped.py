"""The rows whose policies ship in `models/`, twenty episodes a cell: nothing is trained."""

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from emma.bench.cells import Cells
from emma.bench.generalisation.figures import table_figures
from emma.bench.generalisation.jobs import Job, run_jobs
from emma.bench.generalisation.plan import LOOKS, MOVED, ROW_NAMES, ROWS, UNSEEN, Budget, Recipe
from emma.bench.generalisation.progress import Watch
from emma.bench.generalisation.trials import batches, evaluate_bundle, name_of, results
from emma.errors import EmmaError
from emma.resources import data_dir
from emma.sim.tasks import DEFAULT

# The first row's policy is the one of `make demo`.
BUNDLES = {name: f"desk_arm_{name}" for name in ROW_NAMES} | {"real_only": "desk_arm_source"}
# Source, moved cameras, random looks and the unseen ones; the graded shifts are left to the whole table. Within three
# minutes on two cores. Each part is a process that opens the simulator once.
PARTS = (("source", MOVED, LOOKS), UNSEEN[:2], UNSEEN[2:])
CELLS = tuple(appearance for part in PARTS for appearance in part)
EPISODES, BATCH = 20, 5
# Random looks have columns of their own.
SAID = tuple(appearance for appearance in CELLS if appearance != LOOKS)


def bundles(task: str = DEFAULT) -> dict[str, str]:
    """Row -> name of its bundle in `models/`."""
    return BUNDLES if task == DEFAULT else {name: f"desk_arm_{task}_{name}" for name in ROW_NAMES}


def shipped(task: str = DEFAULT) -> dict[str, Path]:
    """Row -> bundle, of those that are there."""
    folders = {name: data_dir("models") / bundle for name, bundle in bundles(task).items()}
    return {name: folder for name, folder in folders.items() if (folder / "emma.json").is_file()}


def run_shipped(budget: Budget, seed: int) -> dict[str, Any]:
    """Figures as of the table, from the shipped policies. Rows without one are missing, and said to be."""
    there = shipped(budget.task)
    here = {row.name: there[row.name] for row in budget.chosen if row.name in there}
    if not here:
        raise EmmaError(
            f"no policy of the table ships for the task {budget.task}",
            found=f"none in {data_dir('models')}",
            expected=", ".join(bundles(budget.task).values()),
            fix="run it without --quick: it trains them",
        )
    with tempfile.TemporaryDirectory(prefix="emma-bench-") as scratch:
        cells = {name: Cells(name, {"bundle": folder.name}, Path(scratch)) for name, folder in here.items()}
        jobs = [
            Job(
                name=f"{row.name} {where[0]}",
                work=partial(_evaluate, here[row.name], row, where, seed, budget, cells[row.name]),
                share=partial(_share, cells[row.name], where),
                cost_s=len(where) * EPISODES,
            )
            for row in ROWS
            if row.name in here
            for where in PARTS
        ]
        with Watch("episodes") as watch:
            run_jobs(jobs, budget.workers, Path(scratch) / "logs", watch)
        found = {}
        for name in here:
            rows = {a: results(cells[name], a, EPISODES, BATCH) for a in CELLS}
            found[name] = [{a: list(row) for a, row in rows.items() if row is not None}]
    return {"task": budget.task, "episodes": EPISODES, "shipped": ", ".join(here), **table_figures(found, SAID)}


def _evaluate(bundle: Path, row: Recipe, where: Sequence[str], seed: int, budget: Budget, cells: Cells) -> None:
    wanted = dict.fromkeys(where, EPISODES)
    evaluate_bundle(bundle, row, wanted, seed, BATCH, budget.timeout_s, cells, budget.task)


def _share(cells: Cells, where: Sequence[str]) -> float:
    wanted = [name_of(a, *part) for a in where for part in batches(EPISODES, BATCH)]
    return sum(cells.get(name) is not None for name in wanted) / len(wanted)
