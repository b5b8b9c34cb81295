"""Long episodes and large pictures: mapped files instead of memory, judged and fused in stretches that agree."""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from emma.datasets.spill_arrays import empty, stacked
from emma.dreamtransfer import fusion
from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.fusion import Fusion
from emma.dreamtransfer.geometry import CameraGeometry
from emma.dreamtransfer.latest import Latest, same
from emma.dreamtransfer.scorer import ClipScorer

VIEWS = ("top", "wrist")
SIZE = 24


@pytest.fixture
def table() -> Clip:
    """Twelve moments of a painted table 0.6 m below two cameras that stand still."""
    rng = np.random.default_rng(0)
    paint = np.repeat(np.repeat(rng.integers(0, 255, (6, 6, 3), np.uint8), 4, 0), 4, 1)
    camera = CameraGeometry(
        intrinsics=np.array([[30.0, 0, 11.5], [0, 30.0, 11.5], [0, 0, 1]]),
        base_from_camera=np.tile(np.diag([1.0, -1.0, -1.0, 1.0]), (12, 1, 1)),
    )
    return Clip(
        images=dict.fromkeys(VIEWS, np.tile(paint, (12, 1, 1, 1))),
        depth=dict.fromkeys(VIEWS, np.full((12, SIZE, SIZE), 600, np.uint16)),
        cameras=dict.fromkeys(VIEWS, camera),
        fps=10.0,
    )


def noisy(clip: Clip, seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        view: np.clip(images + rng.normal(0, 12, images.shape), 0, 255).astype(np.uint8)
        for view, images in clip.images.items()
    }


def test_large_arrays_lie_in_a_file_and_hold_the_same() -> None:
    images = [np.full((4, 5), i, np.uint8) for i in range(3)]
    small, large = stacked(images, 3), stacked(iter(images), 3, ordinary=10)
    assert not isinstance(small, np.memmap)
    assert isinstance(large, np.memmap)
    np.testing.assert_array_equal(small, large)
    assert empty((2, 3), np.uint16, ordinary=1).sum() == 0
    for few in (images[:2], [*images, images[0]], [images[0], np.zeros((5, 4), np.uint8), images[1]], []):
        with pytest.raises(ValueError, match="picture"):
            stacked(few, 3)


def test_stretches_cover_a_clip(table: Clip) -> None:
    moment = len(VIEWS) * SIZE * SIZE
    assert table.stretches(12 * moment) == [(0, 12)]
    assert table.stretches(5 * moment) == [(0, 4), (4, 8), (8, 12)]
    assert table.stretches(1) == [(i, i + 2) for i in range(0, 12, 2)]
    assert table.part(0, 1).stretches(1) == [(0, 1)]


def test_scores_of_stretches_are_those_of_the_whole(table: Clip) -> None:
    made = noisy(table)
    whole, parts = (ClipScorer(at_once=pixels)(table, made, "") for pixels in (1 << 30, 5 * 2 * SIZE * SIZE))
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        assert parts[name] == pytest.approx(value, rel=0.1, nan_ok=True), name


def test_stretches_fused_apart_agree(table: Clip) -> None:
    made = noisy(table)
    whole, parts = Fusion(table)(made), Fusion(table, at_once=8 * 2 * SIZE * SIZE)(made)
    for view in VIEWS:
        before, after = (np.abs(np.diff(images.astype(int), axis=0)).mean() for images in (made[view], parts[view]))
        assert after < before / 5, "steadier than what came in, also from one stretch to the next"
        assert np.abs(whole[view].astype(int) - parts[view]).mean() < 4.0


def test_grains_stand_for_their_pixels(table: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    made = noisy(table)
    fused = Fusion(table)(made)
    # So fine that a grain is one place, and shifts are as good as not rounded.
    monkeypatch.setattr(fusion, "GRAINS", 5)
    alone = Fusion(table)(made)
    for view in VIEWS:
        error, exact = (images[view] - table.images[view].astype(float) for images in (fused, alone))
        assert np.abs(error - exact).mean() < 0.5
        assert np.abs(error).mean() == pytest.approx(np.abs(exact).mean(), rel=0.1)


def test_variants_of_a_clip_share_its_correspondences(table: Clip) -> None:
    shared = Fusion(table)
    for seed in (0, 1):
        made = noisy(table, seed)
        alone = Fusion(table)(made)
        for view, images in shared(made).items():
            np.testing.assert_array_equal(images, alone[view])


def test_what_follows_from_a_clip_is_made_again_for_another_one(table: Clip) -> None:
    made: list[Clip] = []
    latest = Latest(lambda clip: made.append(clip) or len(made))
    assert [latest(clip) for clip in (table, table.only(VIEWS), table.part(0, len(table)), table)] == [1, 1, 2, 3]
    assert not same(table, replace(table, depth={}))


def held_mb(work: Callable[[], object]) -> float:
    """The most memory that Python and NumPy hold meanwhile; mapped files are not in it."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_length(table: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    for function in (empty, stacked):
        monkeypatch.setattr(function, "__defaults__", (1,))
    at_once, held = 6 * 2 * SIZE * SIZE, {}
    for times in (1, 6):
        moments = np.tile(np.arange(12), times)
        clip = table.at(moments)
        made = {view: stacked(images[moments], len(moments)) for view, images in noisy(table).items()}
        long = Clip(
            images={view: stacked(images, len(clip)) for view, images in clip.images.items()},
            depth={view: stacked(depth, len(clip)) for view, depth in clip.depth.items()},
            cameras=clip.cameras,
            fps=10.0,
        )
        held[times, "fuse"] = held_mb(lambda made=made, long=long: Fusion(long, at_once)(made))
        held[times, "score"] = held_mb(lambda made=made, long=long: ClipScorer(at_once=at_once)(long, made, ""))
        held[times, "whole"] = held_mb(lambda made=made, long=long: Fusion(long)(made))
    assert held[6, "whole"] > 3 * held[1, "whole"], "what is not in stretches grows"
    for what in ("fuse", "score"):
        assert held[6, what] < 1.5 * held[1, what], held
