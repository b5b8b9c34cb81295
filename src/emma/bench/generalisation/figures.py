"""From successes to the table: rates with intervals, what each part of the recipe gains, and the sweeps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emma.bench.generalisation.plan import CHOICE, FULL, LOOKS, ROWS, SEEN, UNSEEN, Recipe, sweeps
from emma.bench.generalisation.statistics import Estimate, Outcomes
from emma.bench.generalisation.steps import Steps
from emma.bench.generalisation.training import Policy, trained
from emma.bench.generalisation.trials import open_cells, results
from emma.sim.evaluate import EpisodeResult

# A real-only success of 0 would make any ratio infinite.
LEAST = 0.05
ALL = SEEN + UNSEEN
EVERY = (*CHOICE, *UNSEEN)
GRADED = SEEN[1:]
# By what part of the recipe: the row with it, and the row without.
GAINS = {
    "gain_generator": ("dreamtransfer", "real_only"),
    "gain_filter": ("fixmix", "dreamtransfer"),
    "gain_reweighting": ("adamix", "fixmix"),
    "gain_reweighting_source": ("adamix_source", "fixmix"),
    "gain_recipe": ("adamix", "real_only"),
}
Results = Mapping[str, Sequence[Mapping[str, Sequence[EpisodeResult]]]]


def collect_results(steps: Steps, recipes: Sequence[Recipe], appearances: Sequence[str], seeds: int) -> Results:
    """Recipe -> for each training that was evaluated in all of the appearances: appearance -> episodes."""
    budget = steps.data.budget
    found: dict[str, list[Mapping[str, Sequence[EpisodeResult]]]] = {}
    for recipe in recipes:
        for seed in range(seeds):
            policy = Policy(data=steps.data, recipe=recipe, seed=seed)
            if not trained(policy):
                continue
            cells = open_cells(policy, steps.seed)
            episodes = {a: results(cells, a, n, budget.batch) for a, n in budget.episodes_in(appearances).items()}
            whole = {a: rows for a, rows in episodes.items() if rows is not None}
            if len(whole) == len(appearances):
                found.setdefault(recipe.name, []).append(whole)
    return found


def outcomes_of(found: Results, appearances: Sequence[str]) -> Outcomes:
    """Successes as arrays; rows without any are left out."""
    return Outcomes(
        {
            name: np.array([[[e.success for e in one[a]] for a in appearances] for one in seeds]).swapaxes(1, 2)
            for name, seeds in found.items()
        },
        appearances,
    )


def table_figures(found: Results, appearances: Sequence[str] = ALL) -> dict[str, Any]:
    """The figures of the final table. A row that is missing is None.

    appearances: those that every training was evaluated in, at least the source and the unseen ones; without the graded
    shifts what is said of them is None.
    """
    outcomes = outcomes_of(found, appearances)
    graded = set(appearances).issuperset(GRADED)
    figures: dict[str, Any] = {}
    for row in ROWS:
        mean = outcomes.mean(row.name, UNSEEN) if row.name in found else None
        figures |= _said(row.name, mean)
    figures |= _said("gain_vs_real", outcomes.combine(("adamix", "real_only"), UNSEEN, _relative_to_real))
    for name in ("adamix", "adamix_source"):
        figures |= _said(f"{name}_gain_vs_fixmix", outcomes.combine((name, "fixmix"), UNSEEN, _relative))
    varied = {name: seeds for name, seeds in found.items() if all(LOOKS in one for one in seeds)}
    looks = outcomes_of(varied, (LOOKS,))
    for name, pair in GAINS.items():
        figures |= _said(name, outcomes.combine(pair, UNSEEN, np.subtract))
        figures |= _said(f"{name}_looks", looks.combine(pair, (LOOKS,), np.subtract))
        figures |= _said(f"{name}_graded", outcomes.combine(pair, GRADED, np.subtract) if graded else None)
    share = outcomes.combine(("adamix", "upper_bound", "real_only"), UNSEEN, _share)
    figures |= _said("upper_bound_share", share)
    rows = [_row(row, found, outcomes, looks) for row in ROWS]
    ratios = [row["ratio"] for row in rows if row.get("ratio") is not None and row["row"] != "upper_bound"]
    figures["best_ratio"] = max(ratios) if ratios else None
    figures["missing"] = ", ".join(row.name for row in ROWS if row.name not in found) or None
    return {**figures, "rows": rows}


def sweep_figures(steps: Steps) -> list[dict[str, Any]]:
    """A line a sweep and setting: mean success over the graded shifts, in random looks, and in the source; there,
    too, what is gained over the full recipe, the same looks and starts compared."""
    budget = steps.data.budget
    found = collect_results(steps, steps.swept(), CHOICE, budget.sweep_seeds)
    outcomes, looks, lines = outcomes_of(found, SEEN), outcomes_of(found, (LOOKS,)), []
    for sweep, settings in sweeps(budget).items() if budget.sweeps else ():
        for setting, recipe in settings.items():
            if recipe.name not in found:
                lines.append({"sweep": sweep, "setting": setting, "state": "missing"})
                continue
            graded, source = outcomes.mean(recipe.name, GRADED), outcomes.mean(recipe.name, SEEN[:1])
            line: dict[str, Any] = {"sweep": sweep, "setting": setting, "state": "measured"}
            line["trainings"] = len(found[recipe.name])
            line |= {**_said("graded", graded), **_said("source", source)}
            line["looks_by_seed"] = looks.by_seed(recipe.name)
            if recipe != FULL and FULL.name in found:
                # Training by training: what has more of them is not compared with what has fewer.
                alike = min(len(found[recipe.name]), len(found[FULL.name]))
                pair = outcomes_of({name: found[name][:alike] for name in (recipe.name, FULL.name)}, (LOOKS,))
                line |= _said("looks_gain", pair.combine((recipe.name, FULL.name), (LOOKS,), np.subtract))
            lines.append({**line, **_said("looks", looks.mean(recipe.name))})
    return lines


def _row(row: Recipe, found: Results, outcomes: Outcomes, looks: Outcomes) -> dict[str, Any]:
    line: dict[str, Any] = {"row": row.name, "about": row.about}
    if row.name not in found:
        return {**line, "state": "missing"}
    for appearance in outcomes.appearances:
        line |= _said(appearance, outcomes.mean(row.name, (appearance,)))
    placed = [e for one in found[row.name] for rows in one.values() for e in rows if e.placed_on is not None]
    graded = set(outcomes.appearances).issuperset(GRADED)
    difference = outcomes.combine((row.name, "real_only"), UNSEEN, np.subtract)
    ratio = outcomes.combine((row.name, "real_only"), UNSEEN, _ratio)
    return {
        **line,
        "state": "measured",
        "trainings": len(found[row.name]),
        "episodes": sum(len(one[ALL[0]]) for one in found[row.name]),
        **_said("mean_unseen", outcomes.mean(row.name, UNSEEN)),
        "mean_unseen_by_seed": outcomes.by_seed(row.name, UNSEEN),
        **_said("mean_graded", outcomes.mean(row.name, GRADED) if graded else None),
        **_said("looks", looks.mean(row.name) if row.name in looks.rows else None),
        **_said("difference", difference),
        **_said("ratio", ratio),
        "instruction_following": sum(e.placed_on == e.target for e in placed) / len(placed) if placed else None,
    }


def _ratio(mine: np.ndarray, real: np.ndarray) -> np.ndarray:
    return mine / np.maximum(real, LEAST)


def _relative_to_real(mine: np.ndarray, real: np.ndarray) -> np.ndarray:
    return (mine - real) / np.maximum(real, LEAST)


def _relative(mine: np.ndarray, other: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return (mine - other) / other


def _share(mine: np.ndarray, bound: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Of the upper bound's gain; no number where it gains nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(bound > real, (mine - real) / (bound - real), np.nan)


def _said(name: str, estimate: Estimate | None) -> dict[str, Any]:
    if estimate is None:
        return {name: None, f"{name}_interval": None}
    return {name: estimate.value, f"{name}_interval": list(estimate.interval)}
