"""From difficulty to weight: the formulas, their limits, and what they leave alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emma.adamix.config import AdaMixConfig
from emma.adamix.difficulty import COMPONENTS
from emma.adamix.weights import capped, effective_share, metric_scores, min_max, performance, smoothed, weights
from emma.errors import EmmaError

SHARES = arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1))


def components(**given_values):
    size = len(next(iter(given_values.values())))
    return {name: np.asarray(given_values.get(name, np.zeros(size)), float) for name in COMPONENTS}


def test_min_max_spans_the_dataset_and_says_nothing_where_nothing_differs():
    np.testing.assert_allclose(min_max(np.array([3.0, 1.0, 2.0])), [1, 0, 0.5])
    np.testing.assert_array_equal(min_max(np.full(4, 7.0)), np.zeros(4))
    np.testing.assert_allclose(min_max(np.array([1.0, np.nan, 3.0])), [0, 0.5, 1])
    np.testing.assert_array_equal(min_max(np.full(3, np.nan)), np.zeros(3))


def test_trimming_keeps_one_outlier_from_taking_the_whole_range():
    values = np.append(np.linspace(0, 1, 40), 1000.0)
    assert min_max(values)[39] < 0.01
    assert min_max(values, trim=0.05)[20] > 0.4


def test_performance_is_the_weighted_mean_of_the_metrics():
    hard = components(error=[0, 1], acceleration=[0, 2], jerk=[4, 4], beyond=[1, 0], depth=[1, 0])
    scores = metric_scores(hard)
    np.testing.assert_allclose(scores["error"], [0, 1])
    np.testing.assert_allclose(scores["smoothness"], [0, 0.5])  # jerk does not differ
    np.testing.assert_allclose(scores["limits"], [1, 0])
    np.testing.assert_allclose(performance(hard, AdaMixConfig()), [1 - 1 / 3, 1 - 1.5 / 3])
    only = AdaMixConfig(error=2, smoothness=0, limits=0)
    np.testing.assert_allclose(performance(hard, only), [1, 0])


def test_the_published_form():
    p = np.array([1.0, 0.5, 0.0])
    np.testing.assert_allclose(weights(p, AdaMixConfig()), [1, 5.5, 10])
    np.testing.assert_allclose(weights(p, AdaMixConfig(gamma=2)), [1, 1 + 9 / 4, 10])


@given(SHARES)
def test_lambda_1_is_exactly_uniform(p):
    w = weights(p, AdaMixConfig(lam=1, gamma=3))
    np.testing.assert_array_equal(w, np.ones(len(p)))
    np.testing.assert_array_equal(capped(w, np.arange(1, len(p) + 1), 5.0), np.ones(len(p)))


@given(SHARES, st.floats(1, 100), st.floats(0.1, 5))
def test_weights_stay_between_1_and_lambda_and_fall_with_performance(p, lam, gamma):
    w = weights(p, AdaMixConfig(lam=lam, gamma=gamma))
    assert w.min() >= 1
    assert w.max() <= lam * (1 + 1e-12)
    order = np.argsort(p)
    assert np.all(np.diff(w[order]) <= 1e-9)


@given(SHARES, st.floats(1.0, 10), st.integers(0, 1000))
def test_the_cap_holds_and_keeps_the_order(p, cap, seed):
    size = np.random.default_rng(seed).integers(1, 300, len(p))
    w = weights(p, AdaMixConfig(lam=50))
    limited = capped(w, size, cap)
    assert limited.max() <= cap
    order = np.argsort(w)
    assert np.all(np.diff(limited[order]) >= -1e-9)
    if cap > 1.5:
        assert np.average(limited, weights=size) == pytest.approx(1, abs=0.02)


def test_smoothing_keeps_a_share_of_what_was():
    np.testing.assert_allclose(smoothed(np.array([1.0, 3.0]), np.array([3.0, 1.0]), 0.75), [1.5, 2.5])
    np.testing.assert_allclose(smoothed(None, np.array([3.0]), 0.75), [3.0])


def test_effective_share_counts_frames_not_episodes():
    assert effective_share(np.ones(5), np.array([1, 2, 3, 4, 5])) == pytest.approx(1)
    assert effective_share(np.array([1.0, 0.0]), np.array([1, 3])) == pytest.approx(0.25)
    # Frames within an episode count too: one of two frames drawn alone.
    assert effective_share(np.ones(2), np.array([2, 2]), np.array([2.0, 2.0])) == pytest.approx(0.5)
    # The bound for two levels of weight, 1 and lambda, that the watch's default rests on.
    share = [effective_share(np.array([10.0, 1.0]), np.array([f, 1 - f])) for f in np.linspace(0.01, 0.99, 99)]
    assert min(share) == pytest.approx(4 * 10 / 11**2, abs=0.002)


@pytest.mark.parametrize(
    "bad",
    [
        {"lam": 0.5},
        {"gamma": 0},
        {"cap": 0.9},
        {"smoothing": 1.0},
        {"error": 0, "smoothness": 0, "limits": 0},
        {"judged": "me"},
        {"level": "pixel"},
        {"period": 0},
        {"trim": 0.5},
        {"divergence": 1.0},
    ],
)
def test_configuration_is_validated(bad):
    with pytest.raises(EmmaError, match="bad AdaMix"):
        AdaMixConfig(**bad)


def test_configuration_from_the_command_line():
    config = AdaMixConfig.of({"lambda": 3, "period": 500, "judged": "demonstration", "cap": 2})
    assert (config.lam, config.period, config.judged, config.cap) == (3.0, 500, "demonstration", 2.0)
    for bad in ({"lambada": 3}, {"period": 1.5}, {"cap": "much"}, {"judged": 1}):
        with pytest.raises(EmmaError, match=next(iter(bad))):
            AdaMixConfig.of(bad)
