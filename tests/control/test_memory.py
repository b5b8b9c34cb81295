"""What a policy that looks back is shown."""

import numpy as np

from emma.control.memory import Memory
from emma.observation import Observation

STEP = 100_000_000


def seen(number):
    state = np.array([number], np.float32)
    return Observation(stamp_ns=number * STEP, state=state, images={"top": np.full((1, 1, 3), number, np.uint8)})


def past_of(memory, number):
    return [int(earlier.state[0]) for earlier in memory.with_past(seen(number)).past]


def test_each_moment_back_has_its_observation_and_the_oldest_stands_for_what_is_not_known():
    memory = Memory((0.2, 0.1))
    assert [past_of(memory, i) for i in range(4)] == [[0, 0], [0, 0], [0, 1], [1, 2]]


def test_pictures_that_come_slower_than_the_policy_wants_are_the_latest_before():
    memory = Memory((0.1,))
    assert [past_of(memory, i) for i in (0, 3, 4, 9)] == [[0], [0], [3], [4]]


def test_another_episode_or_a_clock_set_back_begins_anew():
    memory = Memory((0.1,))
    past_of(memory, 5)
    memory.clear()
    assert past_of(memory, 6) == [6]
    assert past_of(memory, 2) == [2]


def test_nothing_is_kept_for_policies_that_do_not_look_back():
    first = seen(0)
    assert Memory(()).with_past(first) is first
