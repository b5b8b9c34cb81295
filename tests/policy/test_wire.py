"""Arrays between two processes: what goes in comes out, sizes may grow, a closed end is seen."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from emma.policy.wire import Channel


@pytest.fixture
def ends():
    there_in, here_out = os.pipe()
    here_in, there_out = os.pipe()
    memory = os.memfd_create("test")
    pair = Channel(here_in, here_out, memory), Channel(there_in, there_out, os.dup(memory))
    yield pair
    for end in pair:
        try:
            end.close()
        except OSError:
            continue


ARRAYS = st.dictionaries(
    st.text(min_size=1, max_size=5),
    st.sampled_from([np.uint8, np.uint16, np.float32, np.float64, np.int64, np.bool_]).flatmap(
        lambda kind: arrays(kind, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9))
    ),
    max_size=4,
)


@settings(deadline=None)
@given(ARRAYS, st.text(max_size=20))
def test_what_goes_in_comes_out(sent, text):
    there_in, here_out = os.pipe()
    memory = os.memfd_create("test")
    channel = Channel(there_in, here_out, memory)
    channel.send({"text": text}, sent)
    values, got = channel.receive(5.0)
    assert values == {"text": text}
    assert list(got) == list(sent)
    for name, array in sent.items():
        np.testing.assert_array_equal(got[name], array)
        assert got[name].dtype == array.dtype
    channel.close()


def test_both_ends_grow_with_the_arrays_and_answer_in_turn(ends):
    here, there = ends
    for size in (1, 100, 3, 5000, 20):
        question = np.arange(size, dtype=np.float64)
        here.send({}, {"a": question})
        np.testing.assert_array_equal(there.receive().arrays["a"], question)
        there.send({}, {"b": question[:, None] * np.ones(size % 7 + 1)})
        assert here.receive().arrays["b"].shape == (size, size % 7 + 1)


def test_silence_and_a_closed_end_are_told_apart(ends):
    here, there = ends
    with pytest.raises(TimeoutError):
        here.receive(0.01)
    there.close()
    with pytest.raises(EOFError):
        here.receive(5.0)
    with pytest.raises(BrokenPipeError):
        here.send({})


def test_half_a_message_is_no_message(ends):
    here, there = ends
    os.write(there._send, b"\x10\x00\x00\x00{")
    there.close()
    with pytest.raises(EOFError):
        here.receive(5.0)
