"""Draws: every step from its number, shares kept exactly, weights followed, LeRobot's semantics."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lerobot.datasets.sampler import EpisodeAwareSampler

from emma.errors import EmmaError
from emma.training.draws import frame_sampler
from emma.training.frames import FrameTable, open_source
from emma.training.mixture import parse_data, shares
from emma.training.sampler import FrameSampler


def draws(sampler, steps):
    return np.concatenate([sampler.indices(k) for k in steps])


def test_every_frame_once_an_epoch_and_every_step_from_its_number():
    sampler = FrameSampler([np.arange(10)], [1.0], 4, seed=3)
    stream = draws(sampler, range(10))
    for epoch in range(4):
        assert sorted(stream[epoch * 10 : epoch * 10 + 10]) == list(range(10))
    assert not np.array_equal(stream[:10], stream[10:20])
    again = FrameSampler([np.arange(10)], [1.0], 4, seed=3)
    np.testing.assert_array_equal(again.indices(7), stream[28:32])
    assert not np.array_equal(FrameSampler([np.arange(10)], [1.0], 4, seed=4).indices(0), stream[:4])


@settings(deadline=None)
@given(st.integers(6, 70), st.floats(0, 1), st.floats(0, 1), st.integers(0, 5000), st.integers(0, 10))
def test_shares_are_kept_in_any_stretch_of_steps(batch, one, two, start, seed):
    share = np.array([one, two, 0.3]) / (one + two + 0.3)
    groups = [np.arange(0, 50), np.arange(50, 57), np.arange(57, 400)]
    sampler = FrameSampler(groups, list(share), batch, seed)
    stream = draws(sampler, range(start, start + 9))
    assert len(stream) == 9 * batch
    counts = np.histogram(stream, [0, 50, 57, 400])[0]
    np.testing.assert_allclose(counts, share * 9 * batch, atol=2.01)


def test_half_and_half_is_exact_in_every_batch_and_each_source_goes_through_its_epochs():
    sampler = FrameSampler([np.arange(30), np.arange(30, 1000)], [0.5, 0.5], 20, seed=0)
    stream = np.stack([sampler.indices(k) for k in range(9)])
    assert ((stream < 30).sum(1) == 10).all()
    real = stream[stream < 30]
    assert all(sorted(real[30 * e : 30 * e + 30]) == list(range(30)) for e in range(3))
    assert len(set(stream[stream >= 30])) == 90
    # Any half of a batch has some of both: that is what a process of two sees.
    assert all(0 < (batch[::2] < 30).sum() < 10 for batch in stream)


def test_equal_weights_draw_exactly_as_none_do():
    groups, share = [np.arange(40), np.arange(40, 900)], [0.25, 0.75]
    plain, weighted = (FrameSampler(groups, share, 16, seed=5) for _ in range(2))
    weighted.set_weights(np.ones(900))
    np.testing.assert_array_equal(draws(weighted, range(200)), draws(plain, range(200)))


@pytest.mark.parametrize("seed", range(3))
def test_an_epoch_holds_each_frame_in_proportion_to_its_weight(seed):
    frames = np.arange(100, 300)
    weights = np.zeros(300)
    weights[frames] = np.random.default_rng(seed).uniform(0.1, 10, 200)
    sampler = FrameSampler([frames], [1.0], 50, seed)
    sampler.set_weights(weights)
    expected = 200 * weights[frames] / weights[frames].sum()
    counts = np.zeros(200)
    for epoch in range(40):
        once = np.bincount(draws(sampler, range(4 * epoch, 4 * epoch + 4)) - 100, minlength=200)
        assert np.all(np.abs(once - expected) <= 1 + 1e-9)
        counts += once
    # Over epochs the light ones come too, each at its own moment.
    np.testing.assert_allclose(counts / 40, expected, atol=0.35)


def test_weights_move_nothing_between_sources():
    weights = np.ones(200)
    weights[:100] = 100.0
    weights[150:] = 7.0
    sampler = FrameSampler([np.arange(100), np.arange(100, 200)], [0.3, 0.7], 10, seed=0)
    sampler.set_weights(weights)
    stream = draws(sampler, range(100))
    assert (stream < 100).sum() == 300
    assert (stream >= 150).sum() == pytest.approx(700 * 7 / 8, abs=12)


def test_a_step_depends_on_seed_step_and_weights_alone():
    weights = np.random.default_rng(0).uniform(1, 10, 500)
    groups, share = [np.arange(300), np.arange(300, 500)], [0.6, 0.4]
    whole, resumed = (FrameSampler(groups, share, 32, seed=9) for _ in range(2))
    whole.set_weights(weights)
    stream = [whole.indices(k) for k in range(60)]
    resumed.set_weights(weights)
    for k in (59, 3, 31):
        np.testing.assert_array_equal(resumed.indices(k), stream[k])
    parts = [stream[7][rank::4] for rank in range(4)]
    assert sorted(np.concatenate(parts)) == sorted(stream[7])


def test_a_batch_must_have_room_for_every_kind():
    groups = [np.arange(5), np.arange(5, 9), np.arange(9, 20)]
    with pytest.raises(EmmaError, match="too small for its mixture"):
        FrameSampler(groups, [0.3, 0.3, 0.4], 5, seed=0)
    FrameSampler(groups, [0.0, 0.0, 1.0], 1, seed=0)


def test_frames_that_a_policy_leaves_out_are_those_that_lerobot_leaves_out(dataset, generated):
    table = FrameTable([open_source(dataset), open_source(f"generated:{generated}")], ())
    ends = table.starts[1:].tolist()
    theirs = EpisodeAwareSampler(table.starts[:-1].tolist(), ends, drop_n_last_frames=7, shuffle=True, seed=0)
    mine = table.drawable(("real", "generated"), drop_last=7)
    assert mine.tolist() == theirs.indices
    # An epoch of theirs and one of ours hold the same frames.
    stream = draws(FrameSampler([mine], [1.0], 1, seed=0), range(len(mine)))
    assert sorted(stream) == sorted(theirs)
    assert len(table.drawable(("real",))) == table.sources[0].meta.total_frames
    with pytest.raises(EmmaError, match="no human frame"):
        table.drawable(("human",))


def test_what_a_dataset_is():
    assert parse_data("generated:a/b") == ("generated", "a/b")
    assert parse_data("human:/x:y") == ("human", "/x:y")
    assert parse_data("plain") == ("real", "plain")
    assert parse_data("other:plain") == ("real", "other:plain")


def test_shares_of_what_is_mixed():
    frames = {"real": 100, "generated": 300, "human": 100}
    kinds = list(frames)
    assert shares(kinds, frames, "uniform", None) == pytest.approx({"real": 0.2, "generated": 0.6, "human": 0.2})
    assert shares(kinds, frames, "fixmix", None) == pytest.approx({"real": 0.5, "generated": 0.375, "human": 0.125})
    assert shares(["real", "generated"], frames, "adamix", 0.9) == pytest.approx({"real": 0.1, "generated": 0.9})
    assert shares(["real", "generated"], frames, "fixmix", 0.0) == {"real": 1.0, "generated": 0.0}
    assert shares(["real"], frames, "adamix", None) == {"real": 1.0}
    assert shares(["generated", "human"], frames, "adamix", None) == {"generated": 0.75, "human": 0.25}
    for sampler, present in (("uniform", kinds), ("fixmix", ["real"])):
        with pytest.raises(EmmaError, match="a ratio that nothing keeps"):
            shares(present, frames, sampler, 0.5)


def test_no_generated_sample_at_ratio_0(dataset, generated):
    from emma.training.config import TrainConfig

    table = FrameTable([open_source(dataset), open_source(f"generated:{generated}")], ())
    config = TrainConfig(data=("x",), policy="act", steps=1, batch_size=8, sampler="fixmix", ratio=0.0)
    drawn = frame_sampler(config, table, processes=2)
    assert drawn.shares == {"real": 1.0, "generated": 0.0}
    assert len(drawn.sampler.indices(0)) == 16
    assert draws(drawn.sampler, range(50)).max() < table.sources[0].meta.total_frames
