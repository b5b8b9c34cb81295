"""Estimated depth: steady over time, metric where points are known; the models are transformers' own classes."""

from pathlib import Path

import numpy as np
import pytest

from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.depth import EstimatedDepth, carried, fit, steady
from emma.dreamtransfer.geometry import CameraGeometry
from emma.errors import EmmaError

FRAMES, HEIGHT, WIDTH = 6, 24, 32


class Relative:
    """What a relative depth model does to a true scene: another scale and offset for every picture."""

    inverse = True

    def __init__(self, true_m: np.ndarray, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        scale, offset = rng.uniform(0.5, 2, (len(true_m), 1, 1)), rng.uniform(-1, 1, (len(true_m), 1, 1))
        self._made = (scale / true_m + offset).astype(np.float32)

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        return self._made


@pytest.fixture
def scene() -> tuple[np.ndarray, np.ndarray]:
    """Depth (T, H, W) m of a tilted plane with a box that moves over it, and its pictures."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    depth = np.repeat((0.9 - 0.01 * rows)[None], FRAMES, 0)
    images = np.repeat((np.stack([rows, columns, rows], -1) * 4).astype(np.uint8)[None], FRAMES, 0)
    for t in range(FRAMES):
        depth[t, 5:12, 3 * t : 3 * t + 8] = 0.5
        images[t, 5:12, 3 * t : 3 * t + 8] = (250, 20, 20)
    return depth, images


def camera(x: float) -> CameraGeometry:
    pose = np.repeat(np.eye(4)[None], FRAMES, 0)
    pose[:, 0, 3] = x
    return CameraGeometry(intrinsics=np.array([[30.0, 0, 16], [0, 30, 12], [0, 0, 1]]), base_from_camera=pose)


def test_frames_get_one_scale(scene: tuple[np.ndarray, np.ndarray]) -> None:
    depth, images = scene
    raw = Relative(depth)(images).astype(np.float64)
    scale, offset = fit(steady(raw, images).ravel(), 1 / depth.ravel())
    np.testing.assert_allclose(scale * steady(raw, images) + offset, 1 / depth, atol=0.02)
    naive = fit(raw.ravel(), 1 / depth.ravel())
    assert np.abs(naive[0] * raw + naive[1] - 1 / depth).mean() > 0.1
    np.testing.assert_array_equal(steady(raw[:1], images[:1]), raw[:1])
    np.testing.assert_array_equal(steady(np.ones_like(raw), images), np.ones_like(raw))


def test_outliers_do_not_pull_the_fit() -> None:
    x = np.linspace(0, 1, 500)
    y = 3 * x + 1
    y[::10] += 20
    assert fit(x, y) == pytest.approx((3, 1), abs=0.1)
    assert fit(x, 5 - x)[0] == 0


def test_points_of_a_view_with_depth_make_the_other_metric(scene: tuple[np.ndarray, np.ndarray]) -> None:
    depth, images = scene
    known = np.rint(depth * 1000).astype(np.uint16)
    # The second camera stands where the first does: then it sees the same depth.
    clip = Clip(
        images={"top": images, "side": images}, depth={"top": known}, fps=10,
        cameras={"top": camera(0.0), "side": camera(0.0)},
    )  # fmt: skip
    np.testing.assert_array_equal(carried(clip, clip.depth, "side"), known)
    found = EstimatedDepth(model=Relative(depth))(clip)
    assert found["top"] is known
    np.testing.assert_allclose(found["side"], known, rtol=0.02)


def test_carried_points_are_shifted_by_the_baseline_and_the_nearest_wins() -> None:
    depth = np.zeros((1, 3, 40), np.uint16)
    depth[0, 1, 20], depth[0, 1, 26] = 1000, 500
    images = np.zeros((1, 3, 40, 3), np.uint8)
    intrinsics = np.array([[100.0, 0, 0], [0, 100, 0], [0, 0, 1]])
    pose = np.eye(4)[None]
    right = pose.copy()
    right[:, 0, 3] = 0.06
    clip = Clip(
        images={"a": images, "b": images},
        depth={"a": depth},
        cameras={
            "a": CameraGeometry(intrinsics=intrinsics, base_from_camera=pose),
            "b": CameraGeometry(intrinsics=intrinsics, base_from_camera=right),
        },
        fps=10,
    )
    # Six pixels to the left at 1 m, twelve at 0.5 m: both land on column 14.
    assert {
        tuple(at): int(carried(clip, clip.depth, "b")[tuple(at)]) for at in np.argwhere(carried(clip, clip.depth, "b"))
    } == {(0, 1, 14): 500}


def test_without_known_points_the_working_range_is_filled(scene: tuple[np.ndarray, np.ndarray]) -> None:
    depth, images = scene
    found = EstimatedDepth(model=Relative(depth), near_m=0.3, far_m=1.2)(Clip(images={"top": images}, depth={}, fps=10))
    low, high = np.percentile(found["top"], (2, 98))
    assert (low, high) == pytest.approx((300, 1200), rel=0.05)
    assert np.corrcoef(found["top"].ravel(), depth.ravel())[0, 1] > 0.9
    with pytest.raises(EmmaError, match="working range"):
        EstimatedDepth(model=Relative(depth), near_m=1, far_m=1)


def test_a_metric_model_is_believed(scene: tuple[np.ndarray, np.ndarray]) -> None:
    depth, images = scene

    class Metric:
        inverse = False

        def __call__(self, pictures: np.ndarray) -> np.ndarray:
            return depth.astype(np.float32)

    found = EstimatedDepth(model=Metric())(Clip(images={"top": images}, depth={}, fps=10))
    np.testing.assert_allclose(found["top"], depth * 1000, rtol=0.01)


def test_numbers_that_are_not_finite_are_refused(scene: tuple[np.ndarray, np.ndarray]) -> None:
    depth, images = scene
    model = Relative(depth)
    model._made[2, 3, 4] = np.nan
    with pytest.raises(EmmaError, match="not finite"):
        EstimatedDepth(model=model)(Clip(images={"top": images}, depth={}, fps=10))


def test_any_depth_model_of_transformers_by_folder(tmp_path: Path, scene: tuple[np.ndarray, np.ndarray]) -> None:
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessor

    backbone = Dinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14,
        out_indices=[1, 2], reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=16, patch_size=14, reassemble_factors=[2, 1],
        neck_hidden_sizes=[8, 8], fusion_hidden_size=8, head_hidden_size=8,
    )  # fmt: skip
    DepthAnythingForDepthEstimation(config).save_pretrained(tmp_path / "tiny")
    DPTImageProcessor(size={"height": 28, "width": 28}, ensure_multiple_of=14).save_pretrained(tmp_path / "tiny")
    found = EstimatedDepth.by_name(str(tmp_path / "tiny"))(Clip(images={"top": scene[1]}, depth={}, fps=10))
    assert (found["top"].shape, found["top"].dtype) == ((FRAMES, HEIGHT, WIDTH), np.uint16)
    assert found["top"].min() > 0
    with pytest.raises(EmmaError, match="cannot load the depth model"):
        EstimatedDepth.by_name(str(tmp_path / "nothing"))
