"""The whole table: demonstrations, then jobs until everything is there, then the figures."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emma.bench.generalisation.costs import measured_costs
from emma.bench.generalisation.data import SOURCE, Data, episodes_of
from emma.bench.generalisation.difficulty import difficulty_figures
from emma.bench.generalisation.figures import EVERY, collect_results, sweep_figures, table_figures
from emma.bench.generalisation.filtering import filter_figures
from emma.bench.generalisation.jobs import Job, State, run_jobs
from emma.bench.generalisation.keep import kept, read_table
from emma.bench.generalisation.looks import InLooks, filmed, looks_figures
from emma.bench.generalisation.pictures import write_clips
from emma.bench.generalisation.plan import CAMERAS, FULL, LOOKS, ROWS, Budget
from emma.bench.generalisation.progress import Watch, in_words
from emma.bench.generalisation.ship import ship
from emma.bench.generalisation.steps import Steps
from emma.bench.generalisation.table import generalisation
from emma.bench.generalisation.training import Policy, trained
from emma.bench.generalisation.trials import looked, open_cells, results
from emma.files import atomic_write_text
from emma.interrupts import raising
from emma.long_work import alone
from emma.progress import progress_bar
from emma.robots.spec import load_robot

TABLE, CLIPS = "table.md", "clips.png"
# Of the budget and the measured costs, what the figures say.
SAID = ("task", "demonstrations", "variants", "noise", "reject", "steps", "batch_size", "rate", "ratio", "lam")
# Folders that everything begins with, by name.
FROM = ("generator", "init")
COSTS = ("clip_s", "episode_s", "demonstration_s", "true_s", "export_s")


def run_all(budget: Budget, seed: int) -> dict[str, Any]:
    """Do what is missing; the table so far is in WORKSPACE/table.md all the time."""
    # Not after hours of work.
    before = read_table(Path(budget.keep)) if budget.keep else None
    budget.root.mkdir(parents=True, exist_ok=True)
    with alone(budget.root), raising():
        data = Data(budget=budget)
        costs = measured_costs(budget) if budget.estimate and budget.workers else None
        steps = Steps(data=data, seed=seed, costs=costs)
        if budget.workers:
            _demonstrate(data)
        jobs = steps.jobs()
        if costs is not None:
            print("\n".join(estimate(steps, jobs)), file=sys.stderr)
        ended = -1
        with Watch("generalisation") as watch:

            def changed(state: State) -> None:
                nonlocal ended
                watch(state)
                if len(state.done) > ended:
                    ended = len(state.done)
                    table = generalisation(figures_of(steps))
                    atomic_write_text(budget.root / TABLE, "\n".join(table) + "\n")

            if budget.workers:
                run_jobs(jobs, budget.workers, budget.root / "logs", changed)
        write_clips(data, budget.root / CLIPS)
        for bundle in ship(steps, budget.chosen, Path(budget.ship)) if budget.ship else ():
            print(f"wrote {bundle}", file=sys.stderr)
        figures = figures_of(steps) | {"filter_scores": filter_figures(data, _judges(steps))}
        figures["looks"] = looks_figures(data, seed, _in_looks(steps)) if filmed(data, seed) == 1.0 else []
        return figures if before is None else kept(figures, before, Path(budget.keep), (*SAID, *FROM))


def figures_of(steps: Steps) -> dict[str, Any]:
    """Of what is there so far."""
    budget = steps.data.budget
    figures = {name: getattr(budget, name) for name in SAID}
    figures |= {"generator": steps.data.generator.name, "init": Path(budget.init).name or "random weights"}
    figures |= {"trainings": budget.seeds, "episodes_per_training": budget.episodes}
    if budget.chosen:
        found = collect_results(steps, budget.chosen, EVERY, budget.seeds)
        ids = looked(budget)
        figures |= {"unseen_configurations": len(ids), "unseen_configuration_ids": ids, **table_figures(found)}
    figures["difficulty"] = difficulty_figures(_judges(steps))
    if budget.sweeps:
        figures["sweeps"] = sweep_figures(steps)
    if steps.costs is not None:
        figures["train_samples_per_s"] = steps.costs.samples_per_s(budget.batch_size)
        figures |= {name: value for name, value in asdict(steps.costs).items() if name in COSTS}
        figures["estimated_hours"] = sum(job.cost_s for job in steps.jobs()) / budget.workers / 3600
    return figures


def _judges(steps: Steps) -> list[Policy]:
    """The trainings of the full recipe that are done."""
    policies = [Policy(data=steps.data, recipe=FULL, seed=seed) for seed in range(steps.data.budget.seeds)]
    return [policy for policy in policies if trained(policy)]


def _in_looks(steps: Steps) -> list[InLooks]:
    """Trainings of the table's rows that were evaluated in the random looks."""
    budget, found = steps.data.budget, list[InLooks]()
    for recipe in ROWS:
        for number in range(max(budget.seeds, budget.sweep_seeds)):
            policy = Policy(data=steps.data, recipe=recipe, seed=number)
            episodes = (
                results(open_cells(policy, steps.seed), LOOKS, budget.looks, budget.batch) if trained(policy) else None
            )
            if episodes is not None:
                found.append((policy, episodes))
    return found


def estimate(steps: Steps, jobs: list[Job]) -> list[str]:
    """What is to be done and how long it will take, for people."""
    costs, budget = steps.costs, steps.data.budget
    assert costs is not None
    rates = {kind: budget.batch_size / seconds for kind, seconds in costs.step_s.items()}
    classic = ", ".join(f"{rate:.0f} with {kind}" for kind, rate in rates.items() if kind != "none")
    lines = [
        f"with {costs.workers} processes at work each does {costs.samples_per_s(budget.batch_size):.0f} samples/s of "
        f"training ({classic}), {costs.clip_s:.1f} s a clip, up to {costs.episode_s:.1f} s an episode"
    ]
    left = 0.0
    for kind in dict.fromkeys(job.name.split()[0] for job in jobs):
        mine = [job for job in jobs if job.name.split()[0] == kind]
        rest = sum(job.cost_s * (1.0 - job.share()) for job in mine)
        whole = in_words(sum(job.cost_s for job in mine))
        lines.append(f"  {kind}: {len(mine)} jobs, {whole} of one process, {in_words(rest)} of it left")
        left += rest
    return [*lines, f"about {in_words(left / budget.workers)} left; interrupted, the same command goes on"]


def _demonstrate(data: Data) -> None:
    """What `emma collect` does, with all cores: nothing else can be done yet."""
    from emma.sim.collect import CollectConfig, CollectReport, collect

    budget = data.budget
    if episodes_of(data.demonstrations) >= budget.demonstrations:
        return
    config = CollectConfig(
        episodes=budget.demonstrations,
        domains=(SOURCE,),
        noise=budget.noise,
        cameras=CAMERAS,
        workers=budget.workers,
        task=budget.task,
    )
    with progress_bar() as bar:
        task = bar.add_task("demonstrations", total=budget.demonstrations, note="")

        def advance(report: CollectReport) -> None:
            bar.update(task, completed=report.kept + report.episodes)

        collect(data.demonstrations, load_robot(), config, advance)
