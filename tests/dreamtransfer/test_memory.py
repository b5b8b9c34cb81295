"""Long episodes and large pictures: mapped files instead of memory, judged and fused in stretches that agree."""

import subprocess
import sys

import numpy as np
import pytest

from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.fusion import fuse
from emma.dreamtransfer.geometry import CameraGeometry
from emma.dreamtransfer.scorer import ClipScorer
from emma.dreamtransfer.scratch import empty, stacked

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


def noisy(clip: Clip) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
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
    whole, parts = fuse(made, table), fuse(made, table, at_once=8 * 2 * SIZE * SIZE)
    for view in VIEWS:
        before, after = (np.abs(np.diff(images.astype(int), axis=0)).mean() for images in (made[view], parts[view]))
        assert after < before / 5, "steadier than what came in, also from one stretch to the next"
        assert np.abs(whole[view].astype(int) - parts[view]).mean() < 4.0


MEASURE = """
import sys
import numpy as np
from emma.dreamtransfer import clip, fusion, geometry, scorer, scratch
moments, size, views = int(sys.argv[1]), 160, ("left", "right")
scratch.ORDINARY = 1
scratch.empty.__defaults__ = scratch.stacked.__defaults__ = (1,)
camera = geometry.CameraGeometry(
    intrinsics=np.array([[150.0, 0, 80], [0, 150.0, 80], [0, 0, 1]]),
    base_from_camera=np.tile(np.diag([1.0, -1.0, -1.0, 1.0]), (moments, 1, 1)),
)
rng = np.random.default_rng(0)
def picture(shape, kind, high):
    return scratch.stacked((rng.integers(1, high, shape, kind) for _ in range(moments)), moments)
clip = clip.Clip(
    images={v: picture((size, size, 3), np.uint8, 255) for v in views},
    depth={v: picture((size, size), np.uint16, 900) for v in views},
    cameras=dict.fromkeys(views, camera), fps=10.0,
)
made = fusion.fuse(clip.images, clip, at_once=8 * 2 * size * size)
scorer.ClipScorer(at_once=8 * 2 * size * size)(clip, made, "")
status = dict(line.split(":") for line in open("/proc/self/status"))
# The largest there was, less what lies in files.
print(int(status["VmHWM"].split()[0]) - int(status["RssFile"].split()[0]) - int(status["RssShmem"].split()[0]))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length() -> None:
    peaks = {}
    for moments in (16, 96):
        done = subprocess.run([sys.executable, "-c", MEASURE, str(moments)], capture_output=True, text=True, check=True)
        peaks[moments] = int(done.stdout) / 1024
    # 80 moments more are 23 MB as pictures and depth, and would be 800 MB as points and correspondences.
    assert peaks[96] - peaks[16] < 60, peaks
