"""The console bench: its figures, its dataset, and the viewers against a real console."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from console_browser import MemoryRobot, running

from emma.bench import console, load_bench
from emma.datasets.source import SourceDataset
from emma.ros.load import review
from emma.ros.load.console import Usage
from emma.ros.load.viewers import watch

PROMISED = {
    "missed_ticks",
    "missed_ticks_without",
    "picture_latency_p95_ms",
    "console_cores",
    "viewer_mb_s",
    "memory_growth_mb_h",
    "first_picture_s",
}


def test_the_promised_figures_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    phase = {"ticks": 300, "missed_ticks": 1, "latency_p95_ms": 90.0, "cores": 0.2, "viewer_mb_s": 3.0}
    graph = {"0": {"ticks": 299, "missed_ticks": 0}, "1": phase, "3": phase | {"memory_growth_mb_h": 1.0}}
    found = {"console": graph | {"recorder_lost": 0}, "review": {"first_picture_s": 0.2, "episodes": 500}}
    monkeypatch.setattr(console, "_found", lambda part, *_: found[part])
    monkeypatch.setattr(console, "write_policy", lambda folder, seed: SimpleNamespace(path=folder))
    figures = load_bench("console").run(True, 0)
    assert set(figures) >= PROMISED
    assert figures["one_missed_ticks"] == 1
    assert figures["missed_ticks_without"] == 0
    json.dumps(figures)


def test_viewers_receive_as_pages_do() -> None:
    robot = MemoryRobot()
    with running(robot) as url:
        found = asyncio.run(watch(url, robot.cameras, 2, 0.6))
    # Two pages with two cameras each; the robot in memory has one picture of each.
    assert found["pictures"] == 4
    assert found["viewer_mb_s"] > 0.001
    assert not any(robot.watched.values())


def test_a_dataset_is_opened_as_the_page_opens_it(tmp_path: Path) -> None:
    file = tmp_path / "review.json"
    words = ["--folder", str(tmp_path / "data"), "--port", str(console.free_port()), "--json", str(file)]
    assert review.main([*words, "--episodes", "3"]) == 0
    assert len(SourceDataset.open(tmp_path / "data" / "many")) == 3
    found = json.loads(file.read_text())
    assert found["episodes"] == 3
    assert 0 < found["first_picture_s"] <= found["first_picture_max_s"]


def test_growth_is_the_slope_after_warming_up() -> None:
    # 1 MB an hour, after ten that come at the start.
    samples = [(float(i), 0.1 * i, 100.0 - max(0, 10 - i) + i / 3600.0) for i in range(40)]
    figures = Usage(samples).figures()
    assert figures["memory_growth_mb_h"] == pytest.approx(1.0, abs=1e-6)
    assert figures["cores"] == pytest.approx(0.1)
    assert Usage(samples[:20]).figures()["memory_growth_mb_h"] is None
