"""The large path with tiny random weights: its windows, what guides it, LoRA in two stages, the whole verb."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from emma.cli import main
from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.dataset import DatasetClips
from emma.dreamtransfer.pipeline import LORA_FILE, DreamTransfer
from emma.dreamtransfer.settings import LARGE, Settings
from emma.dreamtransfer.training.lora import LoraConfig, train_lora
from emma.dreamtransfer.vace import LINE, depth_pictures, guide_pictures
from emma.errors import EmmaError

VIEWS = ("top", "wrist")
QUICK = Settings(steps=1, window=5, overlap=1)
LORA = LoraConfig(views=VIEWS, rank=2, frames=5, steps=4, learning_rate=0.1)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def blocks(frames: int, depth: bool = True) -> Clip:
    """A bright block before a dark wall, in both views."""
    images = np.full((frames, 32, 32, 3), 30, np.uint8)
    images[:, 8:20, 8:20] = 220
    far = np.full((frames, 32, 32), 900, np.uint16)
    far[:, 8:20, 8:20] = 500
    return Clip(images=dict.fromkeys(VIEWS, images), depth=dict.fromkeys(VIEWS, far) if depth else {}, fps=10.0)


def test_it_draws_as_its_authors_do_unless_told_otherwise(large_generator: Path, small_generator: Path) -> None:
    large, small = DreamTransfer.load(large_generator), DreamTransfer.load(small_generator)
    assert large.settings == LARGE
    assert (LARGE.window, LARGE.overlap % 4) == (81, 1)
    assert (small.settings.steps, small.settings.window, small.settings.guidance) == (2, 4, 1.0)


@pytest.mark.parametrize(
    ("frames", "window", "sizes"), [(7, 81, [9]), (81, 81, [81]), (90, 81, [81, 81]), (9, 7, [5, 5])]
)
def test_no_window_is_longer_than_the_episode_needs(
    large_generator: Path, frames: int, window: int, sizes: list[int]
) -> None:
    generator, seen = DreamTransfer.load(large_generator), []

    class Nothing:
        def guide(self, clip: Clip, _: object) -> int:
            return len(clip)

        def __call__(self, guide: int, *_: object, known: np.ndarray, **__: object) -> np.ndarray:
            seen.append(guide)
            return known

    generator.__dict__["_window"] = Nothing()
    generator(blocks(frames), "a red cube", window=window, overlap=1)
    assert seen == sizes


def test_edges_are_dark_lines_where_the_picture_has_them() -> None:
    clip = blocks(2)
    drawn = guide_pictures(clip, "edges")["top"][0]
    assert set(np.unique(drawn)) == {0, 255}
    lines = drawn[..., 0] == 0
    assert 30 < lines.sum() < 80, "the outline of the block"
    assert not lines[11:17, 11:17].any()
    assert not lines[:5].any()
    both, depth = guide_pictures(clip, "both")["top"][0], depth_pictures(clip)["top"][0]
    np.testing.assert_array_equal(both[lines], np.tile(LINE, (lines.sum(), 1)))
    np.testing.assert_array_equal(both[~lines], depth[~lines])


def test_every_guide_is_another_picture_and_edges_need_no_depth(large_generator: Path, small_generator: Path) -> None:
    generator = DreamTransfer.load(large_generator, settings=QUICK)
    made = {guide: generator(blocks(5), "a red cube", guide=guide)["top"] for guide in ("depth", "edges", "both")}
    assert (made["depth"] != made["edges"]).any()
    assert (made["depth"] != made["both"]).any()
    np.testing.assert_array_equal(generator(blocks(5, depth=False), "a red cube", guide="edges")["top"], made["edges"])
    with pytest.raises(EmmaError, match="guided by depth alone"):
        DreamTransfer.load(small_generator)(blocks(4), "a red cube", guide="edges")


def test_settings_are_checked_by_name_and_kind() -> None:
    assert Settings().changed({"guidance": 3, "fuse": True}) == Settings(guidance=3.0, fuse=True)
    for changes in ({"speed": 1}, {"steps": 2.5}, {"steps": True}, {"fuse": 1}, {"guide": "pose"}, {"window": 2}):
        with pytest.raises(EmmaError, match="setting"):
            Settings().changed(changes)


@pytest.mark.parametrize("kind", ["small_generator", "large_generator"])
def test_numbers_that_are_not_finite_are_no_picture(kind: str, request: pytest.FixtureRequest) -> None:
    generator = DreamTransfer.load(request.getfixturevalue(kind), settings=QUICK)
    with torch.no_grad():
        generator.transformer.proj_out.weight.fill_(torch.nan)
    with pytest.raises(EmmaError, match=r"made no picture(.|\n)*NaN"):
        generator.generate(blocks(5), "a red cube", seed=0)


def test_lora_trains_at_half_resolution_then_at_full(
    videos: Callable[..., Path], large_generator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, sizes = [], []
    generator = DreamTransfer.load(large_generator)
    kind = type(generator.transformer)
    forward = kind.forward

    def noted(self: torch.nn.Module, *args: object, **kwargs: object) -> object:
        sizes.append(tuple(kwargs["hidden_states"].shape[-2:]))  # type: ignore[union-attr,index]
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(kind, "forward", noted)
    out = tmp_path / "lora"
    train_lora([videos()], large_generator, out, replace(LORA, guide="both"), lambda stage, *_: told.append(stage))
    assert list(dict.fromkeys(told)) == ["LoRA at 0.5x", "LoRA at 1x"]
    # 64 x 128 pixels with both views, an eighth of that as latents.
    assert sizes == [(4, 8)] * 2 + [(8, 16)] * 2
    assert (out / LORA_FILE).is_file()
    monkeypatch.undo()
    # What it was guided by in training guides it afterwards.
    assert DreamTransfer.load(large_generator, lora=out).settings == replace(LARGE, guide="both")


def test_lora_with_depth_from_a_model(videos: Callable[..., Path], large_generator: Path, tmp_path: Path) -> None:
    asked = []

    def estimate(clip: Clip) -> Mapping[str, np.ndarray]:
        asked.append(len(clip))
        return {view: np.full(images.shape[:3], 700, np.uint16) for view, images in clip.images.items()}

    blind = videos(depth=False)
    with pytest.raises(EmmaError, match=r"without depth(.|\n)*--depth-model"):
        train_lora([blind], large_generator, tmp_path / "a", LORA)
    train_lora([blind], large_generator, tmp_path / "b", LORA, depth=estimate)
    assert set(asked) == {5}
    train_lora([blind], large_generator, tmp_path / "c", replace(LORA, guide="edges"))


def test_the_whole_verb(videos: Callable[..., Path], large_generator: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    quick = ["steps=1", "window=5", "overlap=1", "guidance=1", "guide=both"]
    command = ["augment", str(videos()), "--generator", str(large_generator), "--prompts", "desk", "--variants", "2"]
    command += ["--workers", "1", "--out", str(out), *(word for part in quick for word in ("--set", part))]
    assert main(command) == 0
    made, source = DatasetClips.open(out), DatasetClips.open(videos())
    assert len(made) == 2
    for index in range(2):
        old, new = source[0], made[index]
        np.testing.assert_array_equal(old.action, new.action)
        np.testing.assert_array_equal(old.clip.depth["top"], new.clip.depth["top"])
        assert (old.clip.images["top"] != new.clip.images["top"]).any()
        assert new.provenance["generator_settings"]["guide"] == "both"
        assert new.provenance["generator"]["sha256"] == DreamTransfer.load(large_generator).sha256
        assert np.isfinite(new.provenance["scores"]["flicker_error"])
    assert (out / "report/index.html").stat().st_size > 1000
    assert list((out / "report").glob("*.png"))
    assert json.loads((out / "meta/info.json").read_text())["total_episodes"] == 2


def test_videos_without_depth_are_drawn_by_their_edges(
    videos: Callable[..., Path], large_generator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["augment", str(videos(depth=False)), "--generator", str(large_generator), "--prompts", "desk"]
    command += ["--variants", "1", "--workers", "1", "--out", str(tmp_path / "out")]
    command += [word for part in ("steps=1", "window=5", "overlap=1", "guidance=1") for word in ("--set", part)]
    assert main(command) == 2
    assert "has no depth for top, wrist" in capsys.readouterr().err
    assert main([*command, "--set", "guide=edges"]) == 0
    (line,) = DatasetClips.open(tmp_path / "out").provenance
    assert line["scores"]["boundary_f"] is None
    assert line["scores"]["flicker_error"] is not None


def test_the_verb_refuses_unknown_settings(
    videos: Callable[..., Path], large_generator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["augment", str(videos()), "--generator", str(large_generator), "--prompts", "desk"]
    command += ["--out", str(tmp_path / "out"), "--set"]
    for word, message in (("speed=9", "no such setting of a generator: speed=9"), ("steps", "bad --set")):
        assert main([*command, word]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
