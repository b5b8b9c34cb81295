"""The rule of alignment on arrays of stamps, held against the aligner that runs on the robot."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from emma.bags.timeline import frame_times_ns, latest, timeline
from emma.errors import EmmaError
from emma.observation import Stream

MS = 1_000_000


@st.composite
def streams(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """Stamps of three streams with random rates, drops, jitter, equal stamps and messages out of order."""
    found = {}
    for name in ("images.top", "images.wrist", "state"):
        start = draw(st.integers(0, 300)) * MS
        steps = draw(st.lists(st.integers(0, 120), min_size=1, max_size=40))
        stamps = start + np.cumsum(steps) * MS
        if draw(st.booleans()):
            order = np.argsort(np.arange(len(stamps)) + draw(st.integers(0, 3)) * (np.arange(len(stamps)) % 2))
            stamps = stamps[order]
        found[name] = stamps.astype(np.int64)
    return found


@settings(max_examples=200, deadline=None)
@given(streams(), st.integers(1, 50))
def test_ages_are_those_of_the_robots_streams(stamps: dict[str, np.ndarray], fps: int) -> None:
    try:
        line = timeline(stamps, fps)
    except EmmaError as error:
        assume("never overlap" not in error.problem)
        raise
    for name, ages in line.ages_s.items():
        stream = Stream(span_ns=10**18)
        for stamp in stamps[name]:
            stream.push(int(stamp), SimpleNamespace())
        for time_ns, age in zip(line.times_ns, ages, strict=True):
            sample = stream.at(int(time_ns))
            assert sample is not None
            assert age == (time_ns - sample.stamp_ns) / 1e9
            assert age >= 0
    first = max(int(s.min()) for s in stamps.values())
    assert line.times_ns[0] == first
    assert line.times_ns[-1] <= min(int(s.max()) for s in stamps.values())
    assert min(int(s.max()) for s in stamps.values()) - line.times_ns[-1] < 1_000_000_000 / fps
    cameras = [line.ages_s["images.top"], line.ages_s["images.wrist"]]
    np.testing.assert_allclose(line.skew_s, np.abs(cameras[0] - cameras[1]))


@given(st.integers(0, 2**60), st.integers(0, 10**12), st.integers(1, 240))
def test_frame_times_never_drift(start: int, span: int, fps: int) -> None:
    times = frame_times_ns(start, start + min(span, 10**11), fps)
    assert times[0] == start
    for i in (1, len(times) // 2, len(times) - 1):
        if i < len(times):
            assert times[i] == start + i * 10**9 // fps
    assert times[-1] <= start + min(span, 10**11)


@given(st.lists(st.integers(0, 50), min_size=1), st.lists(st.integers(-5, 60), min_size=1))
def test_latest_is_the_last_one_that_is_not_newer(stamps: list[int], times: list[int]) -> None:
    ordered = np.sort(np.array(stamps))
    for time, found in zip(times, latest(ordered, np.array(times)), strict=True):
        older = [s for s in ordered if s <= time]
        assert found == len(older) - 1


def test_commands_have_no_age_limit_and_do_not_end_an_episode() -> None:
    steps = np.arange(0, 2_000, 20) * MS
    line = timeline({"state": steps, "command": steps[3:10]}, 10)
    assert line.times_ns[0] == 60 * MS
    assert line.times_ns[-1] == 1960 * MS
    assert line.ages_s["command"].max() > 1.5
    assert line.stale(0.25) == {}


@pytest.mark.parametrize(
    ("stamps", "message"),
    [
        ({"state": []}, "no message of state"),
        ({"state": [0, 5_000 * MS, 3_000 * MS]}, "was set back"),
        ({"state": [0, 10 * MS], "images.top": [20 * MS]}, "never overlap"),
    ],
)
def test_what_cannot_be_aligned_is_named(stamps: dict, message: str) -> None:
    with pytest.raises(EmmaError, match=message):
        timeline({name: np.array(values, np.int64) for name, values in stamps.items()}, 10)
