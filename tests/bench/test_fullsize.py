"""Full shapes: counting without building, refusing what does not fit, and one small cell for real."""

import pytest

from emma.bench import fullsize
from emma.bench.cells import Cells
from emma.bench.fullsize_cell import CellConfig
from emma.bench.random_vla import FULL, Gemma, Size
from emma.bench.roofline import Ceilings, Work, count

TINY_PI = Size(
    image=56,
    tokens=16,
    chunk=4,
    steps=2,
    backbone=Gemma(32, 2, 64, 2, 1, 16),
    expert=Gemma(32, 2, 64, 2, 1, 16),
    vision=(32, 2, 2, 64),
)


def test_a_policy_is_counted_without_being_built(tmp_path):
    one, two = (count("pi05", TINY_PI, tmp_path / str(n), n) for n in (1, 2))
    assert one.parameters == two.parameters > one.weights["prefix"] > 0
    assert one.weights == two.weights
    assert two.flops["prefix"] > 1.5 * one.flops["prefix"]
    # Keys and values: 2 layers, 1 group of 16, for 16 patches a camera and 16 words; and a mask and a length.
    assert two.memory - one.memory == 2 * 2 * 16 * 16 + 16


def test_the_roofline_is_the_tighter_ceiling_of_each_graph():
    work = Work(
        parameters=10, weights={"prefix": 100, "step": 50}, flops={"prefix": 10_000, "step": 10}, memory=50, steps=4
    )
    ceilings = Ceilings(device="cpu", dtype="float32", threads=1, bytes_per_s=400.0, flops=1000.0)
    assert work.seconds(ceilings) == pytest.approx(10.0 + 4 * 1.0)
    assert work.flops_per_chunk == 10_040
    assert work.bytes_per_chunk(2) == 2 * (100 + 4 * 100)


def test_what_does_not_fit_is_not_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(fullsize, "_free_gib", lambda: 20.0)
    monkeypatch.setattr(
        fullsize, "_count", lambda *_: Work(parameters=4 * 10**9, weights={}, flops={}, memory=0, steps=1)
    )
    row = fullsize._cell(Cells("fullsize", {}, tmp_path), CellConfig(kind="pi0", cameras=1), [])
    assert row["state"] == "not tried: needs 54 GiB of memory, 20 are free"


def test_every_shape_has_a_row():
    configs = fullsize._configs()
    assert {(c.kind, c.cameras) for c in configs} == {(k, n) for k in FULL for n in (1, 2, 3)}
    assert len({c.name for c in configs}) == len(configs)


@pytest.mark.slow
def test_a_quick_run_measures_one_layer_of_smolvla():
    figures = fullsize.run(quick=True, seed=0)
    cell = next(row for row in figures["cells"] if row.get("state") == "measured")
    assert cell["parity_max_abs_error"] <= 1e-4
    assert set(cell["graph_bytes"]) == {"prefix", "step"}
    assert cell["onnxruntime_p50_ms"] > 0
    assert 400 < figures["smolvla_parameters_m"] < 500
