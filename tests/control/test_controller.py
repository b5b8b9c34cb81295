"""One tick: enable ramps in, stale streams hold, a dead runtime holds, nothing is ever zero or silent."""

import math

import numpy as np
import pytest

from emma.control.chunk_executor import NS, ExecutorConfig
from emma.control.controller import Controller, Mode, WatchdogConfig
from emma.robots.spec import load_robot

SPEC = load_robot("desk_arm")
TICK = NS // 50
POSE = np.array([0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.02])
FRESH = {"images.top": 0.02, "state": 0.01}


def enabled(**changes) -> Controller:
    controller = Controller(SPEC, ExecutorConfig(fps=10), **changes)
    controller.enable(0, POSE)
    return controller


def chunk(target=POSE + 0.01) -> np.ndarray:
    return np.repeat(np.asarray(target)[None], 16, axis=0)


def test_before_enabling_there_is_nothing_to_command():
    controller = Controller(SPEC, ExecutorConfig(fps=10))
    tick = controller.tick(0, FRESH)
    assert tick.mode is Mode.DISABLED
    assert tick.command is None
    assert controller.offer(chunk(), 0, 0) == "disabled"


def test_it_holds_the_measured_pose_until_the_first_chunk():
    tick = enabled().tick(TICK, FRESH)
    assert tick.mode is Mode.WAITING
    np.testing.assert_array_equal(tick.command, POSE)


def test_it_ramps_in_then_runs_and_arrives():
    controller = enabled(ramp_s=0.5)
    assert controller.offer(chunk(), 0, 0) is None
    modes = [controller.tick(k * TICK, FRESH) for k in range(75)]
    assert modes[0].mode is Mode.RAMPING
    assert modes[-1].mode is Mode.RUNNING
    np.testing.assert_allclose(modes[-1].command, POSE + 0.01, atol=1e-6)


@pytest.mark.parametrize("age", [0.5, math.inf])
def test_a_stale_stream_warns_first_and_then_holds_the_last_command(age):
    controller = enabled(watchdog=WatchdogConfig(warn_age_s=0.15, hold_age_s=0.4))
    controller.offer(chunk(POSE + 0.5), 0, 0)
    for k in range(20):
        last = controller.tick(k * TICK, FRESH)
    warned = controller.tick(20 * TICK, {**FRESH, "images.top": 0.2})
    assert warned.mode is not Mode.HOLDING
    assert warned.warnings == ("images.top 0.20 s old",)
    assert not np.array_equal(warned.command, last.command)
    held = [controller.tick(k * TICK, {**FRESH, "images.top": age}) for k in range(21, 40)]
    assert {t.mode for t in held} == {Mode.HOLDING}
    assert all(np.array_equal(t.command, warned.command) for t in held)
    assert "images.top" in held[0].reason


def test_a_dead_runtime_holds_when_the_chunk_runs_out():
    controller = enabled()
    controller.offer(chunk(), 0, 0)
    ticks = [controller.tick(k * TICK, FRESH) for k in range(150)]
    assert ticks[-1].mode is Mode.HOLDING
    assert "ran out" in ticks[-1].reason
    np.testing.assert_allclose(ticks[-1].command, POSE + 0.01, atol=1e-6)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (np.zeros((16, 6)), "expected (K, 7)"),
        (np.zeros(7), "expected (K, 7)"),
        (np.full((16, 7), np.nan), "112 of 112"),
    ],
)
def test_bad_chunks_are_refused_and_the_arm_goes_on_with_what_it_has(bad, why):
    controller = enabled()
    controller.offer(chunk(), 0, 0)
    assert why in controller.offer(bad, 5, 5)
    assert controller.tick(TICK, FRESH).mode is Mode.RAMPING


def test_nothing_is_commanded_while_disabled_and_enabling_starts_anew():
    controller = enabled()
    controller.offer(chunk(), 0, 0)
    controller.tick(TICK, FRESH)
    controller.disable()
    tick = controller.tick(2 * TICK, FRESH)
    assert tick.mode is Mode.DISABLED
    assert tick.command is None
    controller.enable(3 * TICK, POSE)
    assert controller.tick(4 * TICK, FRESH).mode is Mode.WAITING


def test_enabling_from_a_broken_pose_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        Controller(SPEC, ExecutorConfig(fps=10)).enable(0, np.full(7, np.nan))
