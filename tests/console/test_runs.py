"""Trainings and gates over the wire, from files as the project writes them."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from console_browser import Browser, free_port

import emma
from emma.adamix import history
from emma.console import runs
from emma.console.app import Console
from emma.console.config import ConsoleConfig
from emma.console.runs import Runs
from emma.console.server import serving
from emma.cycle.config import GateSettings
from emma.cycle.gate import Trial, judge
from emma.cycle.report import DATA
from emma.errors import EmmaError


def write_training(bundle: Path, *, steps: int = 100, done: int = 40) -> Path:
    run = bundle / "training"
    run.mkdir(parents=True)
    (run / runs.CONFIG).write_text(json.dumps({"steps": steps, "batch_size": 8, "policy": "spatial_flow"}))
    rows = [{"step": k, "loss": 1 / k, "lr": 1e-4, "samples_per_s": 16.0} for k in range(10, done + 1, 10)]
    (run / runs.LOG).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


def write_gate(cycle: Path, after: float) -> None:
    cycle.mkdir(parents=True)
    trials = [Trial(group="source", start=str(i), before=0.0, after=after) for i in range(12)]
    verdict = asdict(judge(trials, GateSettings()))
    document = {"cycle": 3, "baseline": 2, "verdict": {**verdict, "measure": "simulator"}, "stages": {"train": "done"}}
    (cycle / DATA).write_text(json.dumps(document))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run = write_training(tmp_path / "all" / "mine")
    (run / history.FOLDER).mkdir()
    history.write_episodes(run / history.FOLDER, ["easy", "hard"])
    row = {"step": 20, "effective": 0.8, "resets": 0, "weights": [1.0, 4.0], "performance": [0.9, 0.2]}
    history.append(run / history.FOLDER, row)
    write_gate(tmp_path / "all" / "improve" / "cycles" / "0003", 1.0)
    return tmp_path / "all"


@pytest.fixture
def browser(folder: Path) -> Iterator[Browser]:
    config = ConsoleConfig(port=free_port(), folders=(folder,))
    with serving(Console(config).asgi, config):
        yield Browser(f"http://127.0.0.1:{config.port}")


def test_trainings_and_gates_are_listed(browser: Browser) -> None:
    rows = {row["kind"]: row for row in browser.http.get("/api/runs").json()}
    training, gate = rows["training"], rows["gate"]
    assert (training["name"], training["step"], training["steps"]) == ("mine", 40, 100)
    # 60 steps of 8 samples at 16 samples a second.
    assert training["seconds_left"] == pytest.approx(30.0)
    assert (gate["cycle"], gate["promote"], gate["reasons"]) == (3, True, [])
    assert gate["groups"]["source"]["won"] == 12
    found = browser.http.get(f"/api/runs/{training['id']}").json()
    assert found["log"]["step"] == [10, 20, 30, 40]
    assert [one["name"] for one in found["adamix"]["hardest"]] == ["hard", "easy"]
    assert browser.http.get(f"/api/runs/{gate['id']}").status_code == 409
    assert browser.http.get("/api/runs/..%2f..").status_code in (404, 409)


def test_what_cannot_be_read_is_listed_with_its_reason(tmp_path: Path) -> None:
    (write_training(tmp_path / "broken") / runs.CONFIG).write_text("{}")
    (row,) = Runs((tmp_path,)).all()
    assert "steps" in row["problem"]


def test_links_that_lead_out_are_not_followed(tmp_path: Path) -> None:
    write_training(tmp_path / "outside")
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "link").symlink_to(tmp_path / "outside" / "training")
    assert Runs((tmp_path / "all",)).all() == []
    with pytest.raises(EmmaError, match="no such training"):
        Runs((tmp_path / "all",)).curves("0" * 16)


def test_the_names_are_those_of_the_trainer() -> None:
    code = Path(emma.__file__).parent / "training"
    assert f'LOG = "{runs.LOG}"' in (code / "trainer.py").read_text()
    assert f'"{runs.CONFIG}", "{runs.TRAINING}"' in (code / "loop.py").read_text()
