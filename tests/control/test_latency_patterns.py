"""Whatever inference takes: every action once and in order, and no command faster than the joints allow at any join."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emma.control.chunk_executor import NS, ExecutorConfig
from emma.control.controller import Controller, Mode
from emma.policy.joins import JOINS
from emma.robots.spec import load_robot

SPEC = load_robot("desk_arm")
TICK_NS, FPS, CHUNK = NS // 50, 10, 16
LIMIT = np.array([j.velocity for j in SPEC.joints]) / SPEC.control_rate_hz
FRESH = {"state": 0.0}
# rad/s of the motion that all chunks agree on: within every joint's limits for the time of a test.
SLOPE = 0.05
START = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
NEVER = 10**9

TICKS = st.integers(0, 60)
PATTERNS = {
    "constant": TICKS.map(lambda delay: [delay] * 60),
    "jittery": st.lists(TICKS, min_size=60, max_size=60),
    "one late chunk": st.tuples(st.integers(0, 5), st.integers(60, 120), st.integers(1, 8)).map(
        lambda p: [p[1] if i == p[2] else p[0] for i in range(60)]
    ),
    "dead": st.tuples(st.integers(0, 5), st.integers(1, 6)).map(lambda p: [p[0]] * p[1] + [NEVER] * 60),
}


def played(delays, join, chunk_of, ticks=260):
    """(mode, command, target) of every tick: observations every other tick, one inference at a time."""
    controller = Controller(SPEC, ExecutorConfig(fps=FPS, join=join), ramp_s=0.1)
    controller.enable(0, START)
    executor, delays = controller.executor, iter(delays)
    busy, due, asked, rows = False, 0, 0, []
    for k in range(ticks):
        t = k * TICK_NS
        if busy and k >= due:
            assert controller.offer(chunk_of(asked), asked, t) is None
            busy = False
        if not busy and k % 2 == 0 and executor.wants_chunk(t):
            executor.asked(t)
            busy, asked, due = True, t, k + next(delays, 0)
        tick = controller.tick(t, FRESH)
        rows.append((tick.mode, tick.command, executor.target(t)))
    return rows


def moment(t_obs_ns):
    """A chunk whose actions are their own moments: all chunks agree, and every value stands for one moment."""
    t = t_obs_ns / NS + np.arange(CHUNK) / FPS
    return np.repeat((SLOPE * t)[:, None], 7, axis=1)


@pytest.mark.parametrize("join", JOINS[1:])
@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=5, deadline=None)
@given(st.data())
def test_order_is_kept_and_no_action_is_executed_twice(pattern, join, data):
    rows = played(data.draw(PATTERNS[pattern]), join, moment)
    last = -1.0
    for k, (_, _, target) in enumerate(rows):
        if target is None:
            continue
        assert np.ptp(target) < 1e-9
        # Time never goes back: what was executed is not executed again.
        assert target[0] >= last - 1e-9
        # And nothing comes before its own moment, whatever the delay.
        assert target[0] <= SLOPE * k * TICK_NS / NS + 1e-9
        last = target[0]
    assert last > 0 or all(mode in (Mode.WAITING, Mode.HOLDING) for mode, _, _ in rows)


@pytest.mark.parametrize("join", JOINS[1:])
@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=5, deadline=None)
@given(st.data(), st.integers(0, 2**31))
def test_every_step_stays_within_the_limits_though_the_chunks_disagree(pattern, join, data, seed):
    rng = np.random.default_rng(seed)
    rows = played(data.draw(PATTERNS[pattern]), join, lambda _: rng.uniform(-3, 3, (CHUNK, 7)))
    commands = np.stack([command for _, command, _ in rows])
    assert np.isfinite(commands).all()
    assert (np.abs(np.diff(commands, axis=0)) <= LIMIT + 1e-9).all()


@pytest.mark.parametrize("join", JOINS[1:])
def test_a_dead_runtime_ends_in_a_hold_that_lasts(join):
    rows = played([0, 0, NEVER], join, moment)
    assert {mode for mode, _, _ in rows[-100:]} == {Mode.HOLDING}
    held = np.stack([command for _, command, _ in rows[-100:]])
    assert np.ptp(held, axis=0).max() == 0.0
