"""Figures are stored with what made them, as JSON that any reader takes."""

import json

from emma.bench.report import render
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
    text = render(tmp_path)
    assert "| `success` | 0.987 |" in text
    assert "| `follow` | - |" in text
    assert "rows" not in text
    assert "`emma x`" in text
    assert "seed 7" in text
