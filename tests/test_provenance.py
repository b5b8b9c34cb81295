"""Figures are stored with what made them, as JSON that any reader takes."""

import json

import pytest

from emma.bench.report import render
from emma.errors import EmmaError
from emma.provenance import write_figures


def test_figures_carry_commit_machine_and_seed_and_nan_is_null(tmp_path):
    file = tmp_path / "loop.json"
    write_figures(file, {"success": 0.5, "follow": float("nan"), "interval": (0.1, float("inf"))}, seed=7)
    document = json.loads(file.read_text(), parse_constant=lambda name: 1 / 0)
    assert document["figures"] == {"success": 0.5, "follow": None, "interval": [0.1, None]}
    assert document["seed"] == 7
    assert document["commit"]
    assert document["machine"]["cores"] >= 1


def test_the_report_shows_every_figure_and_what_made_it(tmp_path):
    write_figures(
        tmp_path / "loop.json", {"success": 0.987, "follow": None, "rows": [{"seed": 1}]}, seed=7, command="emma x"
    )
    text = render(tmp_path, uncommitted=True)
    assert "| `success` | 0.987 |" in text
    assert "| `follow` | - |" in text
    assert "rows" not in text
    assert "`emma x`" in text
    assert "seed 7" in text


def test_figures_that_no_commit_repeats_are_refused_or_marked(tmp_path, monkeypatch):
    monkeypatch.setattr("emma.provenance.commit", lambda: "0123abc+changes")
    write_figures(tmp_path / "loop.json", {"success": 0.5}, seed=7)
    with pytest.raises(EmmaError, match="uncommitted changes") as refused:
        render(tmp_path)
    assert refused.value.found == "loop.json"
    assert "**Measured on a tree with uncommitted changes" in render(tmp_path, uncommitted=True)
