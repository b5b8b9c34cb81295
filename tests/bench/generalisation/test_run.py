"""The whole table in miniature: every row, from demonstrations to figures, killed and gone on with."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from emma.bench import load_bench
from emma.bench.dream_scene import domain_of
from emma.bench.generalisation import jobs, pictures
from emma.bench.generalisation.data import Data, datasets, kept_clips, look
from emma.bench.generalisation.plan import ROW_NAMES, Budget, sweeps
from emma.bench.generalisation.table import generalisation
from emma.datasets.index import read_provenance
from emma.dreamtransfer.prompts import Grammar
from emma.errors import EmmaError
from emma.robots.spec import load_robot
from emma.sim.arm import DeskArm
from emma.sim.demonstrations import demonstrate, target_of
from emma.training.frames import FrameTable, open_source

SMALL = {"conv_channels": [8, 8, 8], "condition_dim": 32, "hidden_dim": 32, "num_blocks": 1}


def tiny(workspace: Path, generator: Path | str = "", **changes: object) -> dict:
    return {
        "demonstrations": 2,
        "variants": 1,
        "shards": 1,
        "steps": 4,
        "batch_size": 8,
        "options": SMALL,
        "precision": "fp32",
        "seeds": 1,
        "episodes": 1,
        "looks": 2,
        "batch": 1,
        "timeout_s": 0.4,
        "export": False,
        "estimate": False,
        "workers": 2,
        "workspace": str(workspace),
        "generator": str(generator),
        **changes,
    }


def test_the_same_seed_in_another_look_is_the_same_motion():
    spec = load_robot("desk_arm")
    prompt = Grammar.load("desk").sample(1, 3)[0]
    with DeskArm(spec, cameras=("top", "wrist")) as sim:
        source = demonstrate(sim, 4, target_of(4), noise=0.03, fps=spec.fps)
        sim.set_domain(look(prompt.words, 3))
        other = demonstrate(sim, 4, target_of(4), noise=0.03, fps=spec.fps, depth=False)
    assert source is not None
    assert other is not None
    for name in ("action", "executed", "state"):
        np.testing.assert_array_equal(getattr(source, name), getattr(other, name))
    assert source.instruction == other.instruction
    assert np.abs(source.images["top"].astype(int) - other.images["top"]).mean() > 10


def test_no_prompt_shows_what_is_kept_for_evaluation():
    words = {**Grammar.load("desk").sample(1, 0)[0].words, "cube": "green", "table": "brown"}
    with pytest.raises(EmmaError, match="kept for evaluation"):
        look(words, 0)
    assert domain_of(words, 0).name


def run(options: dict, *, quick: bool = False) -> dict:
    return load_bench("generalisation").run_with(quick, 10_000, options)


@pytest.fixture(scope="module")
def first(tmp_path_factory, random_generator):
    """The row without generated clips, and its figures."""
    options = tiny(tmp_path_factory.mktemp("proof") / "work", random_generator, rows="real_only")
    return run(options), options


@pytest.mark.slow
def test_a_row_goes_from_demonstrations_to_figures(first):
    figures, options = first
    (row, *others) = figures["rows"]
    assert (row["row"], row["state"], row["trainings"], row["episodes"]) == ("real_only", "measured", 1, 1)
    assert {other["state"] for other in others} == {"missing"}
    for name in ("source", "large", "unseen_4", "mean_unseen"):
        low, high = row[f"{name}_interval"]
        assert 0 <= low <= row[name] <= high <= 1
    json.dumps(figures)
    root = Path(options["workspace"])
    assert "| real only | 0% (" in (root / "table.md").read_text()
    # A training, its episodes where choices are made, and where none are, and the looks filmed.
    assert len((root / "logs" / "jobs.jsonl").read_text().splitlines()) == 4


@pytest.mark.slow
def test_another_task_goes_all_the_way_too(tmp_path, random_generator):
    figures = run(tiny(tmp_path / "work", random_generator, rows="real_only,upper_bound", task="push"))
    assert figures["task"] == "push"
    assert [row["row"] for row in figures["rows"] if row["state"] == "measured"] == ["real_only", "upper_bound"]
    (data,) = (tmp_path / "work" / "data").glob("demonstrations-*")
    assert [line["task"] for line in read_provenance(data)] == ["push", "push"]
    assert (tmp_path / "work" / "clips.png").stat().st_size > 5000


@pytest.mark.slow
def test_what_is_done_is_not_done_again(first, monkeypatch):
    figures, options = first
    monkeypatch.setattr(jobs, "_context", None)
    assert run(options) == figures


@pytest.mark.slow
def test_other_experiments_on_the_unseen_appearances_are_counted(first):
    figures, options = first
    assert figures["unseen_configurations"] == 1
    # More of the same is no other experiment.
    assert run({**options, "episodes": 2})["unseen_configurations"] == 1
    assert run({**options, "timeout_s": 0.3})["unseen_configurations"] == 2


@pytest.mark.slow
def test_pictures_for_the_page(first, tmp_path):
    figures, _ = first
    pictures.draw_table(figures, tmp_path / "table.png")
    pictures.draw_appearances(tmp_path / "appearances.png")
    assert (tmp_path / "table.png").stat().st_size > 10_000
    assert (tmp_path / "appearances.png").stat().st_size > 10_000


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """All rows with the generator that ships, and the graphs and the estimate of a real run."""
    options = tiny(tmp_path_factory.mktemp("proof") / "work", export=True, estimate=True)
    return run(options), options


@pytest.mark.slow
def test_every_row_is_measured_in_every_appearance(finished):
    figures, options = finished
    assert figures["missing"] is None
    assert figures["clip_s"] > 0
    assert figures["estimated_hours"] > 0
    assert figures["unseen_configurations"] == 1
    assert [row["row"] for row in figures["rows"]] == list(ROW_NAMES)
    for row in figures["rows"]:
        assert (row["state"], row["trainings"], row["episodes"]) == ("measured", 1, 1)
        for name in ("source", "large", "unseen_4", "mean_unseen"):
            low, high = row[f"{name}_interval"]
            assert 0 <= low <= row[name] <= high <= 1
    json.dumps(figures)
    root = Path(options["workspace"])
    assert "| real only |" in (root / "table.md").read_text()
    assert (root / "clips.png").stat().st_size > 5000
    # Clips, their prompts re-rendered, the looks filmed, three jobs a row, after those that measured what it costs.
    assert len((root / "logs" / "jobs.jsonl").read_text().splitlines()) == 2 + 3 + 3 * len(ROW_NAMES)
    assert [row["row"] for row in figures["looks"]] == list(ROW_NAMES)
    assert all(row["error_looks"] > 0 and row["trainings"] == 1 for row in figures["looks"])
    assert "| real + DreamTransfer, filtered (FixMix) (1) | " in "\n".join(generalisation(figures))


@pytest.mark.slow
def test_rows_are_trained_on_what_they_say(finished):
    _, options = finished
    data = Data(budget=Budget.of(options))
    folders = {name: list(datasets(data, name, "whole")) for name in ("none", "kept", "all", "true")}
    assert [len(folders[name]) for name in ("none", "kept", "true")] == [1, 2, 2]
    assert folders["kept"][0] == folders["none"][0] == folders["true"][0]
    generated, true = (FrameTable([open_source(folders[n][1])], ("top", "wrist")) for n in ("kept", "true"))
    real = FrameTable([open_source(folders["none"][0])], ("top", "wrist"))
    for made in (generated, true):
        np.testing.assert_array_equal(made.actions, real.actions)
        np.testing.assert_array_equal(made.states, real.states)
        assert made.tasks == real.tasks
        at = np.arange(5)
        assert np.abs(made.pixels("top", at).astype(int) - real.pixels("top", at)).mean() > 5
    prompts = [clip["prompt"] for clip in kept_clips(data)]
    assert prompts == [line["prompt"] for line in read_provenance(data.true())]


def command(options: dict) -> list[str]:
    words = [w for k, v in options.items() for w in ("--set", f"{k}={v if isinstance(v, str) else json.dumps(v)}")]
    return [sys.executable, "-m", "emma.cli", "bench", "generalisation", *words]


@pytest.mark.slow
def test_killed_anywhere_it_ends_with_the_same_figures(tmp_path, random_generator):
    rows = {"rows": "real_only,adamix,upper_bound", "sweeps": True, "ratios": [0.25], "lambdas": [3], "rates": [1e-4]}
    calm = tiny(tmp_path / "calm", random_generator, **rows)
    subprocess.run([*command(calm), "--json", str(tmp_path / "calm.json")], check=True)
    shaken = tiny(tmp_path / "shaken", random_generator, **rows)
    for wait in ("data/*/.augment/clips/*.json", "policies/*/training/*.jsonl", "trials/*/*.cell.json"):
        child = subprocess.Popen([*command(shaken)], start_new_session=True)
        while not list((tmp_path / "shaken").glob(wait)):
            assert child.poll() is None
            time.sleep(0.05)
        family = psutil.Process(child.pid).children(recursive=True)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        # Nobody is left who would write into the next one's files.
        _, alive = psutil.wait_procs(family, timeout=60)
        assert not alive
    subprocess.run([*command(shaken), "--json", str(tmp_path / "shaken.json")], check=True)
    one, two = (json.loads((tmp_path / f"{name}.json").read_text())["figures"] for name in ("calm", "shaken"))
    assert one == two
    assert {line["sweep"] for line in one["sweeps"]} == set(sweeps(Budget()))
    assert all(line["state"] == "measured" for line in one["sweeps"])


@pytest.mark.slow
def test_quick_says_which_rows_do_not_ship():
    figures = run({"timeout_s": 2.0}, quick=True)
    said = [*figures["shipped"].split(", "), *(figures["missing"] or "").split(", ")]
    assert said[0] == "real_only"
    assert {name for name in said if name} == set(ROW_NAMES)
    assert figures["real_only"] is not None
