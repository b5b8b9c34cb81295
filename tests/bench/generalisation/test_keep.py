"""A table that grows over machines keeps what it had, and refuses what does not fit."""

import json

import pytest

from emma.bench.generalisation.keep import kept, read_table
from emma.bench.generalisation.plan import Budget
from emma.bench.generalisation.whole_table import run_all
from emma.errors import EmmaError


def row(name, state="measured", **values):
    return {"row": name, "about": name, "state": state} | values


def whole(name, success):
    return row(name, trainings=2, mean_unseen_by_seed=[success, success], mean_graded=success)


@pytest.fixture
def before(tmp_path):
    figures = {
        "steps": 10,
        "gain_recipe": 0.5,
        "gain_filter": 0.1,
        "unseen_configurations": 3,
        "unseen_configuration_ids": ["b"],
        "rows": [whole("real_only", 0.1), {**whole("fixmix", 0.6), "ratio": 6.0}, row("jitter", "missing")],
        "sweeps": [
            {"sweep": "lambda", "setting": "3", "state": "measured", "graded": 0.3},
            {"sweep": "rate", "setting": "1", "state": "measured", "graded": 0.2},
        ],
    }
    file = tmp_path / "table.json"
    file.write_text(json.dumps({"figures": figures, "commit": "abc"}))
    return file


def here(success=0.6, steps=10):
    return {
        "steps": steps,
        "gain_recipe": None,
        "gain_filter": 0.2,
        "unseen_configurations": 2,
        "unseen_configuration_ids": ["a", "b"],
        "rows": [
            row("real_only", "missing"),
            {**whole("fixmix", success), "ratio": None},
            row("jitter", "missing"),
            {**whole("new", 0.7), "ratio": None},
        ],
        "sweeps": [
            {"sweep": "lambda", "setting": "3", "state": "missing"},
            {"sweep": "lambda", "setting": "30", "state": "measured", "graded": 0.4},
        ],
    }


def test_what_is_missing_comes_from_before(before):
    merged = kept(here(), read_table(before), before, ["steps"])
    assert [(r["row"], r["state"], r.get("kept")) for r in merged["rows"]] == [
        ("real_only", "measured", "abc"),
        ("fixmix", "measured", None),
        ("jitter", "missing", None),
        ("new", "measured", None),
    ]
    assert (merged["rows"][1]["ratio"], merged["rows"][3]["ratio"]) == (6.0, None)
    assert (merged["gain_recipe"], merged["gain_filter"]) == (0.5, 0.2)
    assert merged["missing"] == "jitter"
    assert (merged["unseen_configurations"], merged["unseen_configuration_ids"]) == (4, ["a", "b"])
    assert [(x["sweep"], x["setting"], x["graded"]) for x in merged["sweeps"]] == [
        ("lambda", "3", 0.3),
        ("lambda", "30", 0.4),
        ("rate", "1", 0.2),
    ]


@pytest.mark.parametrize(("changes", "says"), [({"steps": 11}, "steps 10"), ({"success": 0.5}, "of fixmix")])
def test_another_experiment_is_refused(before, changes, says):
    with pytest.raises(EmmaError, match="another experiment") as error:
        kept(here(**changes), read_table(before), before, ["steps"])
    assert says in str(error.value)


def test_without_a_row_in_common_nothing_shows_that_it_is_the_same_experiment(before):
    figures = here()
    figures["rows"] = [r for r in figures["rows"] if r["row"] != "fixmix"]
    with pytest.raises(EmmaError, match="another experiment") as error:
        kept(figures, read_table(before), before, ["steps"])
    assert "at least one of them" in str(error.value)


@pytest.mark.parametrize("text", [None, "{", "[]", '{"figures": {}, "commit": "abc"}'])
def test_what_is_no_table_is_refused_before_any_work(tmp_path, text):
    file = tmp_path / "table.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(EmmaError, match="cannot keep rows"):
        run_all(Budget(keep=str(file), workspace=str(tmp_path / "work")), 0)
    assert not (tmp_path / "work").exists()
    with pytest.raises(EmmaError, match="bad keep"):
        Budget(keep=str(file), rows=("none",))
