"""Chunks by time: order is kept, nothing is played twice, joins are bounded at any latency."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emma.control.chunk_executor import NS, ChunkExecutor, ExecutorConfig
from emma.control.safety import SafetyFilter
from emma.policy.joins import JOINS
from emma.robots.spec import load_robot

SPEC = load_robot("desk_arm")
FPS = 10
TICK_NS = NS // 50


def ramp(t_obs_ns: int, n: int = 16, slope: float = 1.0) -> np.ndarray:
    """A chunk whose value is its own moment in seconds."""
    t = t_obs_ns / NS + np.arange(n) / FPS
    return np.repeat((slope * t)[:, None], 7, axis=1)


def executor(**changes) -> ChunkExecutor:
    return ChunkExecutor(ExecutorConfig(fps=FPS, **changes))


@given(st.integers(0, 1_000_000_000), st.integers(0, 1_400_000_000))
def test_a_chunk_is_looked_up_by_time_whatever_the_delay(t_obs, after):
    e = executor()
    e.offer(ramp(t_obs), t_obs, t_obs + 10)
    assert e.target(t_obs + after) == pytest.approx(np.full(7, (t_obs + after) / NS), abs=1e-9)


def test_nothing_to_say_before_the_first_chunk_and_after_the_last():
    e = executor(overrun_s=0.3)
    assert e.target(0) is None
    assert not e.started
    e.offer(ramp(0), 0, 0)
    end = round(1.5 * NS)
    assert e.target(end + NS // 5) == pytest.approx(np.full(7, 1.5))
    assert e.target(end + NS) is None


def test_what_is_ahead_is_the_newest_chunk_from_its_first_action_on():
    e = executor()
    assert e.ahead is None
    e.offer(ramp(0), 0, 10)
    e.offer(ramp(NS), NS, NS + 10)
    positions, first_ns = e.ahead
    np.testing.assert_array_equal(positions, ramp(NS))
    assert first_ns == NS
    e.reset()
    assert e.ahead is None


def test_a_late_chunk_from_an_older_observation_stays_unused():
    e = executor()
    assert e.offer(ramp(NS), NS, NS)
    assert not e.offer(ramp(0, slope=5.0), 0, NS + 1)
    assert e.target(NS) == pytest.approx(np.full(7, 1.0))


def test_the_join_fades_from_old_to_new():
    e = executor(blend_s=0.2)
    e.offer(np.zeros((16, 7)), 0, 0)
    e.offer(np.ones((16, 7)), 100, NS)
    values = [e.target(NS + round(f * 0.2 * NS))[0] for f in (0, 0.25, 0.5, 1.0)]
    assert values == pytest.approx([0, 0.25, 0.5, 1.0])


@pytest.mark.parametrize(
    "bad", [np.zeros(7), np.zeros((0, 7)), np.full((4, 7), np.nan), np.full((4, 7), np.inf)], ids=str
)
def test_bad_chunks_are_refused(bad):
    with pytest.raises(ValueError, match=r"chunk"):
        executor().offer(bad, 0, 0)


def test_a_chunk_of_another_robot_is_refused():
    e = executor()
    e.offer(np.zeros((4, 7)), 0, 0)
    with pytest.raises(ValueError, match="6 joints"):
        e.offer(np.zeros((4, 6)), 1, 1)


LATENCIES = st.lists(st.integers(0, 40), min_size=4, max_size=12)


@settings(max_examples=80, deadline=None)
@given(LATENCIES, st.integers(0, 2**31), st.booleans(), st.sampled_from(JOINS[1:]))
def test_any_latency_pattern_keeps_the_commanded_step_within_the_limits(latencies, seed, dies, join):
    """Chunks that disagree wildly, arriving after any number of ticks, one of them maybe never."""
    rng = np.random.default_rng(seed)
    e, safety = executor(join=join), SafetyFilter(SPEC)
    safety.start(np.zeros(7))
    limit = np.array([j.velocity for j in SPEC.joints]) / SPEC.control_rate_hz
    pending: list[tuple[int, int, np.ndarray]] = []
    last, moments = safety.position, []
    delays = iter(latencies)
    for k in range(300):
        t = k * TICK_NS
        if not pending and e.wants_chunk(t):
            delay = next(delays, None)
            if delay is None and dies:
                delay = 10_000
            e.asked(t)
            assert (e.previous(t) is not None) == (join == "rtc" and e.started)
            pending.append((k + (delay or 0), t, rng.uniform(-3, 3, (16, 7))))
        if pending and k >= pending[0][0]:
            _, t_obs, chunk = pending.pop()
            if e.offer(chunk, t_obs, t):
                moments.append(t_obs)
        target = e.target(t)
        command = (safety.hold() if target is None else safety.step(target)).position
        assert (np.abs(command - last) <= limit + 1e-9).all()
        last = command
    assert moments == sorted(set(moments))


def test_configuration_is_validated():
    with pytest.raises(ValueError, match="replan_s"):
        ExecutorConfig(fps=10, replan_s=0)
    with pytest.raises(ValueError, match="blend_s"):
        ExecutorConfig(fps=10, blend_s=-1)
