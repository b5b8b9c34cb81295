"""The joins bench over few episodes: every way of joining runs closed loop, and what is done is kept."""

import pytest

from emma.bench import joins
from emma.bench.cells import Cells
from emma.bench.joins_plot import plot_joins


@pytest.mark.slow
def test_a_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(joins, "ROOT", tmp_path)
    monkeypatch.setattr(joins, "EPISODES", 1)
    monkeypatch.setattr(joins, "LATENCIES_MS", (100,))
    first = joins.run(quick=False, seed=10_000)
    assert {row["method"] for row in first["cells"]} == set(joins.METHODS)
    assert len(first["trained_success"]) == 1
    # Chunks that were told of the one before continue it: to the digit if trained for it.
    apart = {row["method"]: row["disagreement"] for row in first["cells"]}
    assert apart["trained"] < 1e-3
    assert apart["guided"] < 0.5 * apart["switch"]

    def never(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr(joins, "evaluate", never)
    assert joins.run(quick=False, seed=10_000) == first
    plot_joins(first, tmp_path / "joins.png")
    assert (tmp_path / "joins.png").stat().st_size > 10_000


def test_cells_of_other_settings_are_others(tmp_path):
    one, other = Cells("x", {"seed": 1}, tmp_path), Cells("x", {"seed": 2}, tmp_path)
    one.put("a", {"value": 1.5})
    assert one.get("a") == Cells("x", {"seed": 1}, tmp_path).get("a") == {"value": 1.5}
    assert other.get("a") is None
