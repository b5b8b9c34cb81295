"""The filter of generated clips: how many fall, which, and why."""

import math
from dataclasses import replace

import numpy as np
import pytest

from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.filter import decide, worst_first
from emma.dreamtransfer.filter_config import FilterConfig
from emma.dreamtransfer.scorer import ClipScorer
from emma.errors import EmmaError

CONFIG = FilterConfig(reject=0.1, more_is_better={"recall": True, "error": False})


def run_of(n, seed=0):
    rng = np.random.default_rng(seed)
    return [{"recall": rng.uniform(0.8, 0.9), "error": rng.uniform(0.1, 0.2)} for _ in range(n)]


def test_the_share_asked_for_falls_and_the_reason_says_why():
    scores = run_of(40)
    scores[7]["recall"] = 0.31
    scores[22]["error"] = 0.95
    decisions = decide(scores, CONFIG)
    fallen = [i for i, d in enumerate(decisions) if not d.accepted]
    assert len(fallen) == 4
    assert {7, 22} <= set(fallen)
    assert decisions[7].reason.startswith("recall 0.31 is the lowest of 40 clips (median 0.8")
    assert decisions[22].reason.startswith("error 0.95 is the highest of 40 clips (median 0.1")
    assert all(d.reason is None for d in decisions if d.accepted)
    assert [i for i, _ in worst_first(scores, CONFIG.more_is_better)][:2] in ([7, 22], [22, 7])


def dark_and_bright(n=60, seed=0):
    """Half of the clips dark, where the same quality costs three times the error."""
    rng = np.random.default_rng(seed)
    scores = []
    for clip in range(n):
        contrast = rng.uniform(15, 20) if clip % 2 else rng.uniform(50, 60)
        usual = 0.3 if clip % 2 else 0.1
        scores.append({"contrast": contrast, "recall": 0.9, "error": usual * rng.uniform(0.9, 1.1)})
    return scores


def test_a_dark_look_is_not_held_against_a_clip():
    scores = dark_and_bright()
    scores[10]["error"] = 0.2  # twice what a bright clip has, and less than any dark one
    scores[31]["error"] = 0.6
    decisions = decide(scores, CONFIG)
    fallen = [i for i, d in enumerate(decisions) if not d.accepted]
    assert len(fallen) == 6
    assert {10, 31} <= set(fallen)
    assert "error 0.2 is the highest but 30 of 60 clips (median 0." in decisions[10].reason
    assert "of those with its contrast 0.1" in decisions[10].reason
    alone = decide(scores, replace(CONFIG, alike=""))
    assert {i % 2 for i, d in enumerate(alone) if not d.accepted} == {1}


def test_without_contrast_clips_are_compared_with_all():
    scores = dark_and_bright()
    assert decide(scores, replace(CONFIG, alike="")) == decide(
        [{k: v for k, v in s.items() if k != "contrast"} for s in scores], CONFIG
    )


@pytest.mark.parametrize(("clips", "fallen"), [(0, 0), (1, 0), (9, 0), (10, 1), (29, 2), (100, 10)])
def test_never_more_than_the_share(clips, fallen):
    assert sum(not d.accepted for d in decide(run_of(clips), CONFIG)) == fallen


def test_equal_clips_all_stay():
    assert all(d.accepted for d in decide([{"recall": 0.5, "error": 0.1}] * 50, CONFIG))


def test_scores_that_cannot_be_had_are_held_against_nobody():
    scores = [{"recall": math.nan, "error": 0.1 + 0.001 * i} for i in range(20)]
    decisions = decide(scores, CONFIG)
    assert [i for i, d in enumerate(decisions) if not d.accepted] == [18, 19]
    assert all(d.accepted for d in decide([{"recall": math.nan}] * 20, CONFIG))


def test_limits_hold_whatever_the_run():
    config = FilterConfig(reject=0.0, more_is_better=CONFIG.more_is_better, limits={"recall": 0.85, "error": 0.5})
    decisions = decide(
        [{"recall": 0.9, "error": 0.1}, {"recall": 0.8, "error": 0.1}, {"recall": 0.9, "error": 0.6}], config
    )
    assert [d.accepted for d in decisions] == [True, False, False]
    assert decisions[1].reason == "recall 0.8 is below the limit 0.85"
    assert decisions[2].reason == "error 0.6 is above the limit 0.5"


def test_wrong_configurations_are_refused():
    with pytest.raises(EmmaError, match="share of clips"):
        FilterConfig(reject=1.0)
    with pytest.raises(EmmaError, match="not judged"):
        FilterConfig(limits={"beauty": 1.0})


@pytest.fixture(scope="module")
def clip():
    """Two cameras side by side above a table with a box on it, for 3 moments."""
    from emma.dreamtransfer.geometry import CameraGeometry

    rng = np.random.default_rng(0)
    depth = np.full((3, 48, 48), 500, np.uint16)
    depth[:, 16:32, 16:32] = 450
    paint = rng.integers(60, 200, (1, 48, 48, 3), dtype=np.uint8) // 8 * 4 + np.uint8(80)
    paint[:, 16:32, 16:32] = [200, 30, 30]
    pose = np.tile(np.diag([1.0, -1.0, -1.0, 1.0]), (3, 1, 1))
    pose[:, 2, 3] = 0.5
    camera = CameraGeometry(intrinsics=np.array([[60, 0, 23.5], [0, 60, 23.5], [0, 0, 1.0]]), base_from_camera=pose)
    images = np.repeat(paint, 3, axis=0)
    return Clip(
        images={"a": images, "b": images},
        depth={"a": depth, "b": depth},
        cameras={"a": camera, "b": camera},
        fps=10.0,
    )


def test_the_scorer_tells_good_from_bad_without_a_simulator(clip):
    scorer = ClipScorer()
    good = scorer(clip, clip.images, "")
    rng = np.random.default_rng(1)
    noisy = {c: rng.integers(0, 256, v.shape, dtype=np.uint8) for c, v in clip.images.items()}
    bad = scorer(clip, noisy, "")
    flat = scorer(clip, {c: np.full_like(v, 90) for c, v in clip.images.items()}, "")
    assert good["boundary_recall"] > 0.95
    assert flat["boundary_recall"] == 0.0
    assert good["multiview_error"] < 0.1 < 0.8 < bad["multiview_error"]
    assert good["flicker_error"] < 0.2 < 0.8 < bad["flicker_error"]
    assert math.isnan(good["depth_sq_rel"])
    assert math.isnan(good["text_score"])


def test_the_scorer_makes_do_without_depth_and_poses(clip):
    bare = Clip(images=clip.images, depth={}, fps=10.0)
    scores = ClipScorer()(bare, clip.images, "")
    assert math.isnan(scores["multiview_error"])
    assert math.isnan(scores["boundary_recall"])
    assert scores["flicker_error"] < 0.2
    assert decide([scores])[0].accepted


def test_pictures_of_another_clip_are_refused(clip):
    with pytest.raises(EmmaError, match="do not fit the clip"):
        ClipScorer()(clip, {"a": clip.images["a"]}, "")
    with pytest.raises(EmmaError, match="do not fit the clip"):
        ClipScorer()(clip, {c: v[:2] for c, v in clip.images.items()}, "")


def test_one_moment_has_no_flicker(clip):
    one = clip.part(0, 1)
    assert math.isnan(ClipScorer()(one, one.images, "")["flicker_error"])
