"""Intervals over trainings and starts, and the figures made of them."""

import numpy as np
import pytest

from emma.bench.generalisation.figures import ALL, table_figures
from emma.bench.generalisation.plan import ROW_NAMES, UNSEEN
from emma.bench.generalisation.statistics import Outcomes
from emma.bench.generalisation.table import generalisation
from emma.bench.report import render
from emma.provenance import write_figures
from emma.sim.evaluate import EpisodeResult
from emma.stats import Rate


def successes(rates, starts=100, seed=0):
    """(seeds, starts, 1) of 0 and 1, each training with its own rate."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(np.arange(starts) < round(rate * starts)) for rate in rates])[..., None]


def test_a_mean_has_the_wider_of_both_intervals():
    one = Outcomes({"a": successes([0.5, 0.5, 0.5])}, ["x"]).mean("a")
    assert one.value == pytest.approx(0.5)
    low, high = Rate(150, 300).interval
    assert one.interval[0] <= low + 1e-9
    assert one.interval[1] >= high - 1e-9
    # Trainings that differ make it wider than the episodes alone do.
    other = Outcomes({"a": successes([0.1, 0.5, 0.9])}, ["x"]).mean("a")
    assert other.value == pytest.approx(0.5)
    assert other.interval[1] - other.interval[0] > 2 * (high - low)
    # Where all fail there is still chance.
    assert Outcomes({"a": successes([0, 0, 0])}, ["x"]).mean("a").interval == Rate(0, 300).interval


def test_appearances_of_one_start_are_not_more_starts():
    alike = np.repeat(successes([0.5] * 3), 4, axis=2)
    names = ["a", "b", "c", "d"]
    wide = Outcomes({"r": alike}, names).mean("r").interval
    single = Outcomes({"r": alike[..., :1]}, names[:1]).mean("r").interval
    assert wide == pytest.approx(single, abs=0.01)


def test_a_difference_on_the_same_starts_is_sharper_than_on_others():
    base = successes([0.5] * 3, seed=1)
    base[:] = base[:1]
    better = base.copy()
    better[:, np.flatnonzero(~base[0, :, 0].astype(bool))[:10]] = 1
    same = Outcomes({"a": base, "b": better}, ["x"]).combine(("b", "a"), ["x"], np.subtract)
    assert same.value == pytest.approx(0.1)
    assert same.interval[0] > 0.03
    shuffled = better[:, np.random.default_rng(0).permutation(100)]
    apart = Outcomes({"a": base, "b": shuffled}, ["x"]).combine(("b", "a"), ["x"], np.subtract)
    assert apart.interval[0] < same.interval[0]


def episodes(rate, starts=20):
    return [
        EpisodeResult(
            seed=n,
            target="bin",
            instruction="",
            placed_on="bin" if n < rate * starts else None,
            success=n < rate * starts,
            seconds=1.0,
        )
        for n in range(starts)
    ]


def test_the_figures_and_their_table():
    rates = dict(zip(ROW_NAMES, (0.0, 0.1, 0.1, 0.4, 0.4, 0.5, 0.5, 0.6), strict=True))
    found = {row: [{a: episodes(rate) for a in ALL}] * 3 for row, rate in rates.items()}
    figures = table_figures(found)
    assert [
        figures[name] for name in ("real_only", "dreamtransfer", "fixmix", "adamix", "upper_bound")
    ] == pytest.approx([0.0, 0.4, 0.4, 0.5, 0.6])
    # Real only is 0: what counts is 5 %.
    assert figures["gain_vs_real"] == pytest.approx(10.0)
    assert figures["best_ratio"] == pytest.approx(10.0)
    assert figures["adamix_gain_vs_fixmix"] == pytest.approx(0.25)
    assert figures["gain_generator"] == pytest.approx(0.4)
    assert figures["gain_filter"] == pytest.approx(0.0)
    assert figures["gain_reweighting"] == pytest.approx(0.1)
    assert figures["upper_bound_share"] == pytest.approx(5 / 6)
    assert figures["missing"] is None
    row = next(line for line in figures["rows"] if line["row"] == "adamix")
    assert row["mean_unseen_by_seed"] == pytest.approx([0.5] * 3)
    assert (row["trainings"], row["episodes"], row["instruction_following"]) == (3, 60, 1.0)
    scores = [{"score": "flicker_error", "clips": 112, "with_contrast": -0.78, "with_error": 0.09}]
    swept = [{"sweep": "ratio", "setting": "25%", "state": "missing"}]
    text = "\n".join(generalisation({**figures, "sweeps": swept, "filter_scores": scores}))
    assert "| flicker_error | -0.78 | +0.09 |" in text
    assert "| real + DreamTransfer, filtered, AdaMix | 50% (" in text
    assert "| the filter (FixMix against unfiltered) | +0.0 (" in text
    assert "| 25% | - | - |" in text


def test_the_page_of_results_has_the_table_and_its_pictures(tmp_path):
    figures = table_figures({"real_only": [{a: episodes(0.5) for a in ALL}]})
    write_figures(tmp_path / "generalisation.json", figures, seed=10_000, command="emma bench generalisation")
    page = render(tmp_path, uncommitted=True)
    assert "## Does the loop make a better robot?" in page
    assert "| real only | 50% (" in page
    assert "(results/generalisation-appearances.png)" in page
    # Single figures stay in the JSON.
    assert "`gain_vs_real`" not in page


def test_a_row_that_is_missing_is_none_and_said():
    figures = table_figures({"real_only": [{a: episodes(0.5) for a in ALL}]})
    assert figures["real_only"] == 0.5
    assert (figures["adamix"], figures["gain_vs_real"], figures["upper_bound_share"]) == (None, None, None)
    assert figures["missing"] == ", ".join(ROW_NAMES[1:])
    assert "| real + DreamTransfer, filtered, AdaMix | - |" in "\n".join(generalisation(figures))
    assert table_figures({})["real_only"] is None


def test_rows_that_were_asked_other_starts_are_not_compared():
    with pytest.raises(ValueError, match="other starts"):
        Outcomes({"a": successes([1], 10), "b": successes([1], 20)}, ["x"])


def test_only_unseen_appearances_make_the_headline():
    found = {"real_only": [{a: episodes(0.0 if a in UNSEEN else 1.0) for a in ALL}]}
    assert table_figures(found)["real_only"] == 0.0


def test_without_the_graded_shifts_the_rest_is_told():
    found = {"real_only": [{a: episodes(0.25) for a in ("source", *UNSEEN)}]}
    figures = table_figures(found, ("source", *UNSEEN))
    (row,) = (row for row in figures["rows"] if row["row"] == "real_only")
    assert figures["real_only"] == row["source"] == row["mean_unseen"] == 0.25
    assert row["mean_graded"] is None
    assert "small" not in row
    assert figures["gain_recipe_graded"] is None
