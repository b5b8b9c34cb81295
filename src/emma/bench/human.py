"""Do robots learn from hands here? End-effector actions against joints, and transfer by diversity of pretraining."""

import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from emma.bench.human_plan import AXES, CONTROLS, HUMAN, ROBOT, Condition, Plan
from emma.stats import Rate

HELP = "transfer from hands: kinematics, import, end-effector actions against joints, gain by diversity; resumable"
# Levels are regressed in shares of all combinations.
PERCENT = 100.0


def run(quick: bool, seed: int) -> dict[str, Any]:
    return run_with(quick, seed, {})


def run_with(quick: bool, seed: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """quick: kinematics, import and the shipped policy through tool poses. Else the table of transfer as well, in
    `runs/bench/human`: run again after an interruption, it goes on."""
    from emma.bench.human_quick import quick_figures

    plan = Plan.of(dict(options))
    figures = quick_figures(quick, seed)
    return figures if quick else figures | transfer(plan)


def transfer(plan: Plan) -> dict[str, Any]:
    """Train and try whatever is missing, then count."""
    from emma.bench.human_trials import SOURCE, source_policy, trials, tuned
    from emma.robots.spec import load_robot

    spec = load_robot()
    plan.root.mkdir(parents=True, exist_ok=True)

    def tried(level: int, condition: Condition) -> list[dict[str, list[bool]]]:
        """Results of each seed by axis."""
        rows = []
        for seed in range(plan.seeds):
            bundle = tuned(plan, spec, level, seed, condition, _say)
            rows.append({axis.name: trials(plan, spec, bundle, axis, _say) for axis in AXES})
        return rows

    source: dict[str, list[bool]] = {"ee": [], "joint": []}
    for space, results in source.items():
        for seed in range(plan.seeds):
            results += trials(plan, spec, source_policy(plan, spec, space, seed, _say), SOURCE, _say)
    table = {
        level: {condition.name: tried(level, condition) for condition in (ROBOT, HUMAN)}
        for level in sorted(set(plan.levels))
    }
    controls = {c.name: tried(plan.top, c) for c in CONTROLS} if plan.controls else {}
    return summary(plan, source, table, controls)


def summary(
    plan: Plan,
    source: Mapping[str, list[bool]],
    table: Mapping[int, Mapping[str, list[dict[str, list[bool]]]]],
    controls: Mapping[str, list[dict[str, list[bool]]]],
) -> dict[str, Any]:
    """The figures: rates by level, axis and condition, gains with intervals over seeds and starts, their slope."""
    figures: dict[str, Any] = {
        "ee_success": fmean(source["ee"]),
        "joint_success": fmean(source["joint"]),
        "ee_vs_joint": fmean(source["ee"]) / max(fmean(source["joint"]), 1e-9),
    }
    gains = {level: gain(rows[ROBOT.name], rows[HUMAN.name]) for level, rows in table.items()}
    top = table[plan.top]
    for axis in AXES:
        for condition in (ROBOT, HUMAN):
            name = "robot_only" if condition is ROBOT else condition.name
            rate = rate_of(top[condition.name], axis.name)
            figures[f"{axis.name}_{name}"] = rate.value
            figures[f"{axis.name}_{name}_interval"] = rate.interval
        value, interval = paired(top[ROBOT.name], top[HUMAN.name], [axis.name])
        figures[f"{axis.name}_gain"], figures[f"{axis.name}_gain_interval"] = value, interval
    levels = sorted(gains)
    figures["levels"] = levels
    figures["gain_by_level"] = [gains[level] for level in levels]
    if len(levels) > 1:
        figures["gain_slope"] = float(np.polyfit(np.array(levels) / PERCENT, figures["gain_by_level"], 1)[0])
    if 0 in gains:
        figures["gain_at_zero"] = gains[0]
    for name, rows in controls.items():
        figures[f"{name}_gain"] = gain(top[ROBOT.name], rows)
    figures["cells"] = [
        {"level": level, "data": name, "axis": axis.name, "rate": rate_of(rows, axis.name).value}
        for level, conditions in table.items()
        for name, rows in conditions.items()
        for axis in AXES
    ]
    return figures


def rate_of(rows: list[dict[str, list[bool]]], axis: str) -> Rate:
    """Successes over all seeds."""
    every = [success for row in rows for success in row[axis]]
    return Rate(sum(every), len(every))


def gain(before: list[dict[str, list[bool]]], after: list[dict[str, list[bool]]]) -> float:
    """Mean difference of success over axes, seeds and starts."""
    return paired(before, after, [axis.name for axis in AXES])[0]


def paired(
    before: list[dict[str, list[bool]]], after: list[dict[str, list[bool]]], axes: list[str], draws: int = 2000
) -> tuple[float, tuple[float, float]]:
    """Mean difference and its 95 % interval: seeds are drawn anew, and within a seed the starts (bootstrap)."""
    pairs = [
        np.concatenate([np.array(b[axis], float) * -1 + np.array(a[axis], float) for axis in axes])
        for b, a in zip(before, after, strict=True)
    ]
    rng = np.random.default_rng(0)
    again = np.stack([pair[rng.integers(len(pair), size=(draws, len(pair)))].mean(1) for pair in pairs], axis=1)
    seeds = rng.integers(len(pairs), size=(draws, len(pairs)))
    low, high = np.quantile(np.take_along_axis(again, seeds, axis=1).mean(1), [0.025, 0.975])
    return float(np.mean([pair.mean() for pair in pairs])), (float(low), float(high))


def draw(figures: Mapping[str, Any], folder: Path) -> None:
    """`human.png`: success on each axis by level, robot alone and with hands."""
    if "cells" not in figures:
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    picture, places = pyplot.subplots(1, len(AXES), figsize=(4 * len(AXES), 3.2), sharey=True)
    for place, axis in zip(places, AXES, strict=True):
        for name, colour in ((ROBOT.name, "tab:grey"), (HUMAN.name, "tab:orange")):
            rows = [row for row in figures["cells"] if row["axis"] == axis.name and row["data"] == name]
            place.plot([row["level"] for row in rows], [row["rate"] for row in rows], "o-", color=colour, label=name)
        place.set(title=axis.name, xlabel="diversity of pretraining, %", ylim=(0, 1))
    places[0].set_ylabel("success")
    places[0].legend()
    picture.tight_layout()
    picture.savefig(folder / "human.png", dpi=110)
    pyplot.close(picture)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
