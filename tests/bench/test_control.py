"""The bench of control: its robot, and its figures from what the nodes' part finds."""

import json
import os

import pytest

from emma.bench import control, load_bench
from emma.errors import EmmaError
from emma.robots.spec import load_robot


def test_the_robot_differs_in_its_cameras_rate_alone(tmp_path):
    spec, shipped = load_robot(control.robot_with_camera_rate(tmp_path / "robot", 30.0)), load_robot("desk_arm")
    assert {camera.rate_hz for camera in spec.cameras} == {30.0}
    assert spec.topics() == shipped.topics()
    assert (spec.name, spec.joints, spec.control_rate_hz) == (shipped.name, shipped.joints, 50.0)


def test_figures_are_named_by_what_was_measured(monkeypatch):
    timings = {
        "ticks": 300,
        "missed_ticks": 1,
        "tick_lateness_p99_ms": 2.0,
        "stamp_to_command_p50_ms": 50.0,
        "other": 1,
    }
    found = {"process": {**timings, "swap_missed_ticks": 0, "real_time_priority": 1}, "plain": timings}
    monkeypatch.setattr(control, "_measured", lambda folder, quick, seed: found)
    before = os.sched_getaffinity(0)
    figures = load_bench("control").run(True, 0)
    assert os.sched_getaffinity(0) == before
    assert figures["cores"] <= 2
    assert figures["lateness_p99_ms"] == figures["plain_lateness_p99_ms"] == 2.0
    assert figures["swap_missed_ticks"] == 0
    assert "plain_swap_missed_ticks" not in figures
    assert figures["real_time_priority"] is True
    assert not any("other" in name for name in figures)
    json.dumps(figures)


def test_what_cannot_be_measured_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(control, "BUNDLE", "no_such_bundle")
    with pytest.raises(EmmaError, match="could not be measured"):
        control._measured(tmp_path, True, 0)
