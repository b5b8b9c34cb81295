"""The control bench: its robot, its figures, and what it says when it cannot measure."""

import json
from types import SimpleNamespace

import pytest

from emma.bench import control, load_bench
from emma.bench.control import CASES, Case, robot_of
from emma.errors import EmmaError
from emma.robots.spec import load_robot


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.prefix or "raw")
def test_the_robot_differs_from_the_shipped_one_in_sizes_and_rates_only(tmp_path, case):
    spec, shipped = load_robot(robot_of(tmp_path, case)), load_robot("desk_arm")
    assert {(camera.width, camera.height, camera.rate_hz) for camera in spec.cameras} == {(640, 480, 30.0)}
    assert {camera.transport for camera in spec.cameras} == {case.transport}
    assert (spec.name, spec.joints, spec.command) == (shipped.name, shipped.joints, shipped.command)
    assert (spec.state_rate_hz, spec.control_rate_hz) == (500.0, case.control_hz)


def test_figures_are_named_by_what_was_measured(monkeypatch):
    timings = {
        "ticks": 299,
        "missed_ticks": 1,
        "tick_lateness_p99_ms": 2.0,
        "stamp_to_command_p50_ms": 50.0,
        "other": 1,
    }
    monkeypatch.setattr(control, "_measured", lambda folder, case, policy, seconds, swap: timings)
    monkeypatch.setattr(control, "write_policy", lambda folder, seed: SimpleNamespace(path=folder))
    figures = load_bench("control").run(True, 0)
    assert {"ticks", "missed_ticks", "lateness_p99_ms"} <= set(figures)
    assert {"jpeg_ticks", "jpeg_missed_ticks", "jpeg_lateness_p99_ms", "hz100_missed_share"} <= set(figures)
    assert figures["hz100_missed_share"] == pytest.approx(1 / 300)
    assert not any("other" in name for name in figures)
    json.dumps(figures)


def test_what_cannot_be_measured_is_an_error(tmp_path):
    with pytest.raises(EmmaError, match="could not be measured"):
        control._measured(tmp_path, Case(prefix=""), tmp_path / "no_such_bundle", 1.0, "after")
