"""The measurement of loaders: each of them on a small dataset of its kind."""

from pathlib import Path

import pytest

from emma.bench import loading_process
from emma.bench.loading import FORMS, run
from emma.bench.loading_data import make_dataset
from emma.datasets.validate import validate


def test_ours_reads_a_dataset_of_h264(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "data", "h264", 1, 12, 0)
    assert [finding for finding in validate(root) if finding.level == "error"] == []
    figures = loading_process.ours(root, 1, 0)
    assert figures["samples_per_s"] > 0


@pytest.mark.slow
def test_a_quick_run_has_every_figure() -> None:
    figures = run(True, 0)
    assert [row["form"] for row in figures["forms"]] == list(FORMS[:1])
    assert figures["speedup_vs_lerobot"] > 0
    assert 0 <= figures["data_share"] <= 1
    assert figures["memory_mb"] < 2000
