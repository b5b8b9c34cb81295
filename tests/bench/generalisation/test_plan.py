"""What may be compared with what, and what nothing but the final table may look at."""

from dataclasses import replace

import pytest

from emma.bench import load_bench
from emma.bench.cells import Cells
from emma.bench.generalisation.data import Data
from emma.bench.generalisation.plan import (
    CHOICE,
    FIXMIX,
    FULL,
    ROW_NAMES,
    ROWS,
    SEEN,
    UNSEEN,
    Budget,
    require_allowed,
    sweeps,
)
from emma.bench.generalisation.shipped import bundles
from emma.bench.generalisation.steps import Steps
from emma.bench.generalisation.table import generalisation, page
from emma.bench.generalisation.training import Policy
from emma.bench.generalisation.trials import evaluate_bundle
from emma.errors import EmmaError
from emma.sim.domains import list_domains, load_domain


def test_the_appearances_are_those_of_the_simulator():
    assert list(UNSEEN) == list_domains("unseen")
    assert [load_domain(name).role for name in SEEN] == ["source", "graded", "graded", "graded"]


def test_the_rows_are_those_of_the_paper_and_the_bounds():
    assert ROW_NAMES == (
        "real_only",
        "jitter",
        "randconv",
        "dreamtransfer",
        "fixmix",
        "adamix",
        "adamix_source",
        "upper_bound",
    )


def test_nothing_but_a_row_is_evaluated_on_unseen_appearances(tmp_path):
    budget = Budget(sweeps=True, workspace=str(tmp_path))
    swept = [recipe for sweep in sweeps(budget).values() for recipe in sweep.values()]
    for recipe in [
        *(r for r in swept if r not in ROWS),
        replace(FULL, adamix={"lambda": 3}),
        replace(ROWS[0], name="x"),
    ]:
        for appearance in UNSEEN:
            with pytest.raises(EmmaError, match="kept for the final table"):
                require_allowed(recipe, appearance)
            # Before anything is loaded or run.
            with pytest.raises(EmmaError, match="kept for the final table"):
                evaluate_bundle(
                    tmp_path, recipe, {"source": 1, appearance: 1}, 10_000, 1, 1.0, Cells("x", {}, tmp_path)
                )
        for appearance in CHOICE:
            require_allowed(recipe, appearance)
    for recipe in ROWS:
        for appearance in CHOICE + UNSEEN:
            require_allowed(recipe, appearance)
    # The other looks of the simulator are neither.
    with pytest.raises(EmmaError, match="final table"):
        require_allowed(ROWS[0], "cube_green")


def test_every_sweep_changes_one_thing_of_the_full_recipe():
    found = sweeps(Budget())
    assert {name: list(settings) for name, settings in found.items()} == {
        "ratio": ["0%", "25%", "50%", "75%", "90%"],
        "lambda": ["1", "3", "10", "30"],
        "metrics": ["error alone", "all", "without error", "without smoothness", "without limits"],
        "against": ["all", "its source", "its source, as a share"],
        "dealt": ["by difficulty", "by chance"],
        "level": ["episode", "frame", "within"],
        "generator": ["whole", "views_alone", "no_depth"],
        "augment": ["none", "jitter", "randconv"],
        "learning rate": ["own", "0.0003", "0.001", "0.002"],
    }
    assert list(sweeps(Budget.of({"swept": "lambda,learning rate"}))) == ["lambda", "learning rate"]
    with pytest.raises(EmmaError, match="bad swept"):
        Budget(swept=("colour",))
    for settings in found.values():
        recipes = list(settings.values())
        assert recipes.count(FULL) == 1
        assert len({r.name for r in recipes}) == len(recipes)
    assert found["ratio"]["0%"].pictures == "none"
    assert found["lambda"]["1"] == FIXMIX
    assert found["against"]["its source"] in ROWS
    assert found["lambda"]["30"].adamix["min_effective"] < 4 * 30 / 31**2
    budget = Budget(options={"optimizer_lr": 1e-3, "x": 1})
    rates = sweeps(budget)["learning rate"]
    assert {setting for setting, recipe in rates.items() if recipe == FULL} == {"0.001"}
    slow = Policy(data=Data(budget=budget), recipe=rates["0.0003"], seed=0)
    assert slow.options == {"optimizer_lr": 3e-4, "x": 1}
    assert replace(slow, recipe=FULL).options == budget.options


def test_jobs_come_in_order_and_once(tmp_path):
    budget = Budget(sweeps=True, workspace=str(tmp_path), shards=2, seeds=2)
    jobs = Steps(data=Data(budget=budget), seed=10_000).jobs()
    names = [job.name for job in jobs]
    assert len(set(names)) == len(names)
    for n, job in enumerate(jobs):
        assert set(job.needs) <= set(names[:n]), job.name
    unseen = [name for name in names if name.endswith("unseen")]
    assert len(unseen) == 2 * len(ROWS)
    assert not [name for name in unseen if not any(name.startswith(f"evaluate {row},") for row in ROW_NAMES)]
    # Of one seed all appearances for choices come before those for nothing else.
    assert names.index("evaluate upper_bound, seed 0, graded") < names.index("evaluate real_only, seed 0, unseen")
    few = Budget(workspace=str(tmp_path), rows=("real_only", "jitter"), seeds=1)
    kinds = [job.name.split()[0] for job in Steps(data=Data(budget=few), seed=0).jobs()]
    assert kinds == ["train"] * 2 + ["evaluate"] * 4 + ["film"]


def test_jobs_are_weighed_in_seconds_though_nobody_measured_them(tmp_path):
    budget = Budget(workspace=str(tmp_path), demonstrations=120, variants=1, steps=1500, episodes=40)
    jobs = Steps(data=Data(budget=budget), seed=0).jobs()
    costs = {job.name: job.cost_s for job in jobs}
    assert costs["train jitter, seed 0"] > costs["train adamix, seed 0"] > costs["train real_only, seed 0"] > 300
    assert costs["evaluate adamix, seed 0, unseen"] < costs["train adamix, seed 0"] / 3


def test_figures_of_what_is_there_need_no_work(tmp_path):
    figures = load_bench("generalisation").run_with(False, 10_000, {"workers": 0, "workspace": str(tmp_path)})
    assert {row["state"] for row in figures["rows"]} == {"missing"}
    assert figures["looks"] == []
    assert not (tmp_path / "data").exists()


def test_another_budget_is_another_folder(tmp_path):
    budget = Budget(workspace=str(tmp_path))
    policy = Policy(data=Data(budget=budget), recipe=FULL, seed=0)

    def other(**changes):
        return replace(policy, data=Data(budget=replace(budget, **changes))).folder

    for changes in ({"steps": 7}, {"demonstrations": 7}, {"variants": 7}, {"ratio": 0.3}, {"lam": 2.0}, {"noise": 0.0}):
        assert other(**changes) != policy.folder
    for changes in ({"episodes": 7}, {"workers": 7}, {"seeds": 7}, {"sweeps": True}):
        assert other(**changes) == policy.folder
    folders = [replace(policy, recipe=recipe).folder for recipe in ROWS]
    assert len(set(folders)) == len(ROWS)


def test_another_task_has_folders_of_its_own_and_the_first_keeps_the_names_it_had(tmp_path):
    first, second = (Data(budget=Budget(workspace=str(tmp_path), task=task)) for task in ("place", "push"))
    # As in workspaces from before there was a second task.
    assert first.demonstrations.name == "demonstrations-0e83fec2"
    assert "task" not in first.budget.decisive()
    assert second.budget.decisive()["task"] == "push"
    for a, b in ((first.demonstrations, second.demonstrations), (first.clips("whole")[0], second.clips("whole")[0])):
        assert a != b
    for recipe in ROWS:
        assert Policy(data=first, recipe=recipe, seed=0).folder != Policy(data=second, recipe=recipe, seed=0).folder
    assert Budget.of({"task": "push"}).task == "push"
    with pytest.raises(EmmaError, match="unknown task"):
        Budget.of({"task": "stack"})
    assert bundles()["real_only"] == "desk_arm_source"
    assert bundles("push")["adamix"] == "desk_arm_push_adamix"


def test_the_pictures_of_another_task_are_called_after_it():
    assert page({}) == page({"task": "place"}) == "generalisation"
    figures = {"task": "push", "rows": []}
    assert "![Success by appearance](results/generalisation_push.png)" in generalisation(figures)


def test_options_are_read_as_the_command_line_gives_them():
    budget = Budget.of({"steps": 10, "ratio": 0.25, "rows": "real_only,adamix", "lambdas": [1, 3], "options": {"a": 1}})
    assert (budget.steps, budget.ratio, budget.rows) == (10, 0.25, ("real_only", "adamix"))
    assert budget.lambdas == (1.0, 3.0)
    assert [row.name for row in budget.chosen] == ["real_only", "adamix"]
    assert Budget.of({"rows": "fixmix"}).rows == ("fixmix",)
    assert Budget.of({"rows": "none"}).chosen == ()
    for wrong in (
        {"step": 1},
        {"steps": 1.5},
        {"steps": "many"},
        {"steps": 0},
        {"ratio": 1},
        {"rows": "best"},
        {"rows": "none,fixmix"},
        {"export": 1},
    ):
        with pytest.raises(EmmaError, match="generalisation bench"):
            Budget.of(wrong)
