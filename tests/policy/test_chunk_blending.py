"""Joins: what a new chunk has to continue, ensembles, and draining; and which of them a policy can."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emma.control.chunk_executor import NS, ChunkExecutor, ExecutorConfig
from emma.errors import EmmaError
from emma.policy.chunk_blending import choose_join

FPS = 10
MS = 1_000_000


def chunk(value, n=16):
    return np.full((n, 7), float(value))


def ramp(start=0.0, n=16):
    return np.repeat(start + np.arange(n)[:, None] / FPS, 7, axis=1)


def executor(**changes):
    return ChunkExecutor(ExecutorConfig(fps=FPS, **changes))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1400))
def test_the_next_chunk_is_told_what_will_be_executed_from_its_observation_on(obs_ms):
    e = executor(join="rtc")
    e.offer(ramp(), 0, 100 * MS)
    told = e.previous(obs_ms * MS)
    assert told.delay == 2  # 100 ms at 10 actions/s: the one at 0 and the one at 100 ms
    for k, action in enumerate(told.actions):
        np.testing.assert_allclose(action, e.target(obs_ms * MS + k * NS // FPS), atol=1e-6)
    # Every whole action up to the last, at 1.5 s; past it, the last one held.
    assert len(told.actions) == max((1500 - obs_ms) // 100 + 1, told.delay)


def test_the_delay_is_the_slowest_of_the_latest_arrivals_without_the_first():
    e = executor(join="rtc", replan_s=0.1)
    e.offer(ramp(), 0, NS)  # the warm-up
    assert e.previous(NS).delay == 11
    for i, late in enumerate((110, 250, 130)):
        e.offer(ramp(), (i + 1) * NS, (i + 1) * NS + late * MS)
    assert e.previous(4 * NS).delay == 4  # up to 250 ms: the actions at 0, 100, 200 and 300 ms decide
    e.reset()
    e.offer(ramp(), 5 * NS, 5 * NS)
    assert e.previous(5 * NS).delay == 4
    for i in range(10):
        e.offer(ramp(), (6 + i) * NS, (6 + i) * NS)
    assert e.previous(16 * NS).delay == 1


def test_a_chunk_that_ran_out_is_continued_by_its_last_action():
    e = executor(join="rtc")
    e.offer(ramp(), 0, 300 * MS)
    told = e.previous(2 * NS)
    assert told.delay == len(told.actions) == 4
    np.testing.assert_allclose(told.actions, 1.5)


def test_only_rtc_says_what_to_continue():
    for join in ("blend", "ensemble", "drain"):
        e = executor(join=join)
        e.offer(ramp(), 0, 0)
        assert e.previous(0) is None


def test_an_ensemble_is_acts_weighted_mean():
    e = executor(join="ensemble", blend_s=0.0, decay=0.5, replan_s=0.1)
    for i, value in enumerate((1.0, 2.0, 4.0)):
        e.offer(chunk(value), i * 100 * MS, i * 100 * MS)
    weights = np.exp(-0.5 * np.arange(3))
    expected = (weights * [1.0, 2.0, 4.0]).sum() / weights.sum()
    np.testing.assert_allclose(e.target(400 * MS), expected)
    # The first chunk has ended at 1.5 s.
    np.testing.assert_allclose(e.target(1550 * MS), (2.0 + 4.0 * np.exp(-0.5)) / (1 + np.exp(-0.5)))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20), st.integers(0, 300))
def test_an_ensemble_has_no_jumps(values, late_ms):
    e = executor(join="ensemble", replan_s=0.1, blend_s=0.2)
    last, waiting = None, [(i * 100 + late_ms, i * 100, v) for i, v in enumerate(values)]
    for ms in range(0, 100 * len(values) + late_ms, 10):
        while waiting and waiting[0][0] <= ms:
            _, obs, value = waiting.pop(0)
            e.offer(chunk(value), obs * MS, ms * MS)
        target = e.target(ms * MS)
        if last is not None:
            # In 10 of 200 ms no weight changes by more than 1/20 of one, and the mean by at most that of its range
            # for each of the chunks that fade at the same time.
            assert np.abs(target - last).max() <= 2.0 * 5 / 20 + 1e-9
        last = target


def test_draining_plays_a_chunk_from_its_arrival_stops_and_only_then_asks():
    e = executor(join="drain", replan_s=0.4, blend_s=0.0, overrun_s=0.3)
    assert e.wants_chunk(0)
    e.asked(0)
    assert not e.wants_chunk(200 * MS)
    e.offer(ramp(), 0, 300 * MS)
    np.testing.assert_allclose(e.target(300 * MS), 0.0)
    assert not e.wants_chunk(600 * MS)
    assert e.wants_chunk(700 * MS)
    e.asked(700 * MS)
    assert not e.wants_chunk(900 * MS)
    np.testing.assert_allclose(e.target(900 * MS), 0.4)
    assert e.target(1100 * MS) is None
    assert e.wants_chunk(1100 * MS)  # no answer: ask again
    e.offer(ramp(0.4), 700 * MS, 1100 * MS)
    np.testing.assert_allclose(e.target(1200 * MS), 0.5)


@pytest.mark.parametrize(
    ("wanted", "rtc", "join"),
    [
        ("auto", "trained", "rtc"),
        ("auto", "guided", "blend"),
        ("auto", "", "blend"),
        ("rtc", "guided", "rtc"),
        ("ensemble", "", "ensemble"),
        ("drain", "trained", "drain"),
    ],
)
def test_a_join_is_chosen_for_what_the_policy_can(wanted, rtc, join):
    assert choose_join(wanted, SimpleNamespace(name="some", rtc=rtc)) == join


@pytest.mark.parametrize("wanted", ["rtc", "sew"])
def test_a_join_that_is_not_possible_is_refused(wanted):
    with pytest.raises(EmmaError, match=r"real-time chunking|unknown join"):
        choose_join(wanted, SimpleNamespace(name="some", rtc=""))


def test_an_executor_knows_its_joins():
    with pytest.raises(ValueError, match="join is one of"):
        executor(join="auto")
