"""The generator class with random weights, small and of Wan's kind: shapes, windows, seeds, bad folders."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.geometry import CameraGeometry
from emma.dreamtransfer.pipeline import DreamTransfer
from emma.dreamtransfer.scorer import ClipScorer
from emma.dreamtransfer.settings import Settings
from emma.dreamtransfer.windows import windows
from emma.errors import EmmaError

PROMPT = (
    "a white robot arm, a red cube, a blue bin and a yellow plate on a plain brown table, grey floor, dim cool light"
)
VIEWS = ("top", "wrist")


def clip(frames: int = 11, size: int = 32, views: tuple[str, ...] = VIEWS) -> Clip:
    rng = np.random.default_rng(0)
    camera = CameraGeometry(
        intrinsics=np.array([[40.0, 0, 15.5], [0, 40.0, 15.5], [0, 0, 1]]),
        base_from_camera=np.tile(np.diag([1.0, -1.0, -1.0, 1.0]), (frames, 1, 1)),
    )
    return Clip(
        images={view: rng.integers(0, 255, (frames, size, size, 3), np.uint8) for view in views},
        depth={view: rng.integers(300, 900, (frames, size, size), np.uint16) for view in views},
        cameras=dict.fromkeys(views, camera),
        fps=10.0,
    )


def test_small_draws_every_view_and_frame_and_repeats_itself(small_generator: Path) -> None:
    generator, source = DreamTransfer.load(small_generator), clip()
    made = generator.generate(source, PROMPT, seed=3)
    assert set(made) == set(VIEWS)
    assert all(images.shape == source.images[view].shape and images.dtype == np.uint8 for view, images in made.items())
    again = DreamTransfer.load(small_generator).generate(source, PROMPT, seed=3)
    other = generator.generate(source, PROMPT, seed=4)
    for view in VIEWS:
        np.testing.assert_array_equal(made[view], again[view])
        assert (made[view] != other[view]).any()


def test_a_variant_after_others_is_the_one_made_alone(small_generator: Path) -> None:
    source, scorer = clip(), ClipScorer()
    settings = {"window": 1, "overlap": 0, "steps": 2, "fuse": True}
    generator = DreamTransfer.load(small_generator)
    for seed in (3, 4):
        alone = DreamTransfer.load(small_generator)(source, PROMPT, seed=seed, **settings)
        after = generator(source, PROMPT, seed=seed, **settings)
        for view in VIEWS:
            np.testing.assert_array_equal(after[view], alone[view])
        assert scorer(source, after, PROMPT) == pytest.approx(ClipScorer()(source, alone, PROMPT), rel=0, nan_ok=True)
    other = clip(size=48)
    np.testing.assert_array_equal(
        generator(other, PROMPT, seed=3, **settings)["top"],
        DreamTransfer.load(small_generator)(other, PROMPT, seed=3, **settings)["top"],
    )


def test_a_decoder_in_bf16_draws_the_same(small_generator: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for bf16 in (True, False):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda bf16=bf16: {"avx512_bf16": bf16}, raising=False)
        made.append(DreamTransfer.load(small_generator, device="cpu").generate(clip(4), PROMPT, seed=0))
    quick, exact = made
    for view in VIEWS:
        difference = np.abs(quick[view].astype(int) - exact[view])
        assert 0 < difference.mean() < 1.0
        assert difference.max() < 16


def test_small_sees_text_and_depth_but_never_the_pictures(small_generator: Path) -> None:
    generator, source = DreamTransfer.load(small_generator), clip(4)
    made = generator.generate(source, PROMPT, seed=0)["top"]
    assert (made != generator.generate(source, PROMPT.replace("red", "green"), seed=0)["top"]).any()
    moved = Clip(
        images=source.images,
        depth={**source.depth, "wrist": source.depth["wrist"] + np.uint16(90)},
        cameras=source.cameras,
        fps=source.fps,
    )
    assert (made != generator.generate(moved, PROMPT, seed=0)["top"]).any(), "one view sees the other's depth"
    repainted = Clip(
        images={view: 255 - images for view, images in source.images.items()},
        depth=source.depth,
        cameras=source.cameras,
        fps=source.fps,
    )
    np.testing.assert_array_equal(made, generator.generate(repainted, PROMPT, seed=0)["top"])
    assert (made != generator(source, PROMPT, seed=0, control=0.0)["top"]).any()
    assert (made != generator(source, PROMPT, seed=0, together=False)["top"]).any()


def test_masked_pixels_stay_as_they_were(small_generator: Path) -> None:
    source = clip(4)
    mask = np.zeros(source.images["top"].shape[:3], bool)
    mask[:, 5:9] = True
    kept = Clip(images=source.images, depth=source.depth, cameras=source.cameras, fps=10.0, keep={"top": mask})
    generator = DreamTransfer.load(small_generator)
    free, bound = (generator.generate(c, PROMPT, seed=0)["top"] for c in (source, kept))
    np.testing.assert_array_equal(bound[mask], source.images["top"][mask])
    np.testing.assert_array_equal(bound[~mask], free[~mask])
    assert (free[mask] != source.images["top"][mask]).any()


def test_known_frames_reach_the_next_window(small_generator: Path) -> None:
    generator, source = DreamTransfer.load(small_generator), clip(7)
    with_overlap = generator(source, PROMPT, seed=0, overlap=1)["top"]
    assert generator.settings.overlap == 1
    without = generator(source, PROMPT, seed=0, overlap=0)["top"]
    # Windows drawn at once or alone: other batches, other rounding.
    np.testing.assert_allclose(with_overlap[:4].astype(int), without[:4], atol=2)
    assert np.abs(with_overlap[4:].astype(int) - without[4:]).max() > 2


def test_the_hash_is_of_weights_and_configuration(small_generator: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(small_generator, copy)
    assert DreamTransfer.load(copy).sha256 == DreamTransfer.load(small_generator).sha256
    index = json.loads((copy / "model_index.json").read_text())
    index["settings"]["steps"] = 3
    (copy / "model_index.json").write_text(json.dumps(index))
    assert DreamTransfer.load(copy).sha256 != DreamTransfer.load(small_generator).sha256


def test_wan_folder_of_its_own_pipeline_loads_and_draws(large_generator: Path) -> None:
    generator = DreamTransfer.load(large_generator, settings=Settings(steps=2, window=5, overlap=1, guidance=2.0))
    assert not generator.small
    assert generator.views is None
    source = clip(7)
    made = generator.generate(source, PROMPT, seed=1)
    assert {view: images.shape for view, images in made.items()} == {
        view: images.shape for view, images in source.images.items()
    }
    np.testing.assert_array_equal(made["top"], generator.generate(source, PROMPT, seed=1)["top"])


def test_missing_depth_is_said(small_generator: Path, large_generator: Path) -> None:
    source = clip(4)
    blind = Clip(images=source.images, depth={"top": source.depth["top"]}, cameras=source.cameras, fps=10.0)
    for folder in (small_generator, large_generator):
        generator = DreamTransfer.load(folder, settings=Settings(steps=1, window=4, overlap=0))
        with pytest.raises(EmmaError, match="camera wrist has no depth"):
            generator.generate(blind, PROMPT, seed=0)


def test_missing_view_is_said(small_generator: Path) -> None:
    with pytest.raises(EmmaError, match="no camera wrist"):
        DreamTransfer.load(small_generator).generate(clip(4, views=("top", "front")), PROMPT, seed=0)


@pytest.mark.parametrize("content", [None, "{}", '{"_class_name": "StableDiffusionPipeline"}'])
def test_folders_of_something_else_are_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "model_index.json").write_text(content)
    with pytest.raises(EmmaError, match=r"no (DreamTransfer )?generator"):
        DreamTransfer.load(tmp_path)


def test_weights_for_other_geometry_are_refused(small_generator: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emma.dreamtransfer.pipeline.CHANNELS", 55)
    with pytest.raises(EmmaError, match="another version of emma"):
        DreamTransfer.load(small_generator, device="cpu")


@pytest.mark.parametrize(
    ("length", "size", "overlap"), [(1, 8, 2), (8, 8, 2), (9, 8, 2), (74, 8, 2), (81, 81, 5), (20, 4, 0)]
)
def test_windows_cover_every_frame_once(length: int, size: int, overlap: int) -> None:
    made = np.zeros(length, int)
    for window in windows(length, size, overlap):
        assert window.stop - window.start == size
        assert window.known in (0, overlap)
        if window.known:
            assert (made[window.start : window.start + window.known] == 1).all(), "known frames are there already"
        made[window.start + window.known : window.stop] += 1
    assert (made == 1).all()


def test_windows_that_make_no_progress_are_refused() -> None:
    with pytest.raises(EmmaError):
        windows(10, 4, 4)
