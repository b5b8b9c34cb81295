"""The augmented dataset: new pictures, everything else byte for byte; the same after any interruption."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from emma.augmentation.clips import Tools
from emma.augmentation.config import AugmentConfig
from emma.augmentation.job import augment
from emma.datasets.index import read_provenance
from emma.datasets.validate import validate
from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.filter_config import FilterConfig
from emma.dreamtransfer.prompts import Grammar
from emma.files import sha256_tree

ONE = AugmentConfig(variants=2, workers=1)


class RednessScorer:
    """How red the pictures are; the filter is told that less is better."""

    def __call__(self, clip: Clip, generated: Mapping[str, np.ndarray], prompt: str) -> dict[str, float]:
        return {
            "redness": float(np.mean([images[..., 0].mean() for images in generated.values()])),
            "nothing": float("nan"),
        }


JUDGED = replace(ONE, filter=FilterConfig(reject=0.34, more_is_better={"redness": False, "nothing": True}))


PARTS = ("meta", "data", "videos", "rejected")


def tables(root: Path) -> list:
    return [pq.read_table(path) for path in sorted((root / "data").rglob("*.parquet"))]


def test_all_but_pictures_is_the_sources_byte_for_byte(
    tmp_path: Path, source: Path, tools: Tools, prompts: Callable, hue_shift: type
) -> None:
    report = augment(source, tmp_path / "out", tools, prompts, ONE)
    assert (report.clips, report.accepted, report.rejected, report.made, report.kept) == (6, 6, 0, 6, 0)
    assert (report.cameras, report.dropped_cameras) == (("top", "wrist"), ("front",))
    assert validate(tmp_path / "out", every_image=True) == []
    there, made = tables(source), tables(tmp_path / "out")
    lines = read_provenance(tmp_path / "out")
    assert len(made) == len(lines) == 6
    for number, (table, line) in enumerate(zip(made, lines, strict=True)):
        original = there[line["from"]["episode"]]
        assert line["from"]["episode"] == number // 2
        for name in ("action", "observation.state", "timestamp", "frame_index"):
            old, new = original[name].combine_chunks(), table[name].combine_chunks()
            assert old.equals(new)
            assert [bytes(b) for b in old.buffers() if b] == [bytes(b) for b in new.buffers() if b]
        for camera in ("top", "wrist"):
            assert table[f"observation.depth.{camera}"].equals(original[f"observation.depth.{camera}"])
            assert not table[f"observation.images.{camera}"].equals(original[f"observation.images.{camera}"])
        assert "observation.images.front" not in table.column_names
    # And as LeRobot sees it: the generator's pictures, bit for bit.
    dataset, before = (LeRobotDataset("local/test", root=root) for root in (tmp_path / "out", source))
    assert (dataset.num_episodes, dataset.meta.robot_type, dataset.fps) == (6, "tiny_arm", 10)
    clip = Clip(
        images={c: np.stack([pixels(before[i], c) for i in range(7)]) for c in ("top", "wrist")}, depth={}, fps=10
    )
    wanted = hue_shift().generate(clip, lines[1]["prompt"], seed=lines[1]["seed"])
    for camera in ("top", "wrist"):
        np.testing.assert_array_equal(np.stack([pixels(dataset[7 + i], camera) for i in range(7)]), wanted[camera])
        np.testing.assert_array_equal(
            dataset[7][f"observation.depth.{camera}"], before[0][f"observation.depth.{camera}"]
        )
    assert [dataset[i]["task"] for i in (0, 7, 14)] == ["task 0", "task 0", "task 1"]
    for name in ("action", "observation.state", "observation.depth.top"):
        np.testing.assert_allclose(dataset.meta.stats[name]["max"], before.meta.stats[name]["max"])


def pixels(item: dict, camera: str) -> np.ndarray:
    return (item[f"observation.images.{camera}"] * 255).round().permute(1, 2, 0).numpy().astype(np.uint8)


def test_provenance_says_what_made_each_clip(tmp_path: Path, source: Path, tools: Tools, prompts: Callable) -> None:
    out = tmp_path / "out"
    augment(source, out, replace(tools, scorer=RednessScorer), prompts, JUDGED)
    lines = read_provenance(out) + read_provenance(out / "rejected")
    assert len({line["prompt"] for line in lines}) == len({line["seed"] for line in lines}) == 6
    grammar = Grammar.load("desk")
    for line in lines:
        assert (line["source"], line["embodiment"]) == ("generated", "tiny_arm")
        assert line["from"]["dataset"] == "source"
        assert line["from"]["provenance"]["episode_id"] == f"e{line['from']['episode']}"
        assert "episode_index" not in line["from"]["provenance"]
        assert grammar.parse(line["prompt"]).words == line["words"]
        assert line["generator"] == {"name": "hue_shift", "sha256": "0" * 64}
        assert line["scores"]["redness"] > 0
        assert line["scores"]["nothing"] is None
        assert line["accepted"] == (line["reason"] is None)


def test_the_worst_are_kept_aside_with_the_reason(
    tmp_path: Path, source: Path, tools: Tools, prompts: Callable
) -> None:
    out = tmp_path / "out"
    report = augment(source, out, replace(tools, scorer=RednessScorer), prompts, JUDGED)
    assert (report.accepted, report.rejected) == (4, 2)
    kept, lost = read_provenance(out), read_provenance(out / "rejected")
    assert min(line["scores"]["redness"] for line in lost) >= max(line["scores"]["redness"] for line in kept)
    assert all("redness" in line["reason"] for line in lost)
    assert validate(out) == validate(out / "rejected") == []
    page = report.page.read_text()
    assert lost[0]["reason"] in page
    assert page.count("data:image/png;base64,") == 3 + 6
    assert "http" not in page
    assert (report.page.parent / "rejected.png").read_bytes().startswith(b"\x89PNG")
    assert not (out / ".augment/clips").exists()


def test_all_rejected_is_no_dataset_but_a_report(tmp_path: Path, source: Path, tools: Tools, prompts: Callable) -> None:
    config = replace(ONE, filter=FilterConfig(more_is_better={"redness": False}, limits={"redness": 1.0}))
    for made in (6, 0):
        report = augment(source, tmp_path / "out", replace(tools, scorer=RednessScorer), prompts, config)
        assert (report.accepted, report.rejected, report.made) == (0, 6, made)
    assert not (tmp_path / "out/meta").exists()
    assert validate(tmp_path / "out/rejected") == []


def test_the_same_call_again_has_nothing_to_do(tmp_path: Path, source: Path, tools: Tools, prompts: Callable) -> None:
    augment(source, tmp_path / "out", tools, prompts, ONE)
    before = sha256_tree(tmp_path / "out")
    report = augment(source, tmp_path / "out", tools, prompts, ONE)
    assert (report.made, report.kept, report.accepted) == (0, 6, 6)
    assert sha256_tree(tmp_path / "out") == before


def test_seeds_and_prompts_are_those_of_the_clip(tmp_path: Path, source: Path, tools: Tools, prompts: Callable) -> None:
    augment(source, tmp_path / "a", tools, prompts, ONE)
    augment(source, tmp_path / "b", tools, prompts, replace(ONE, episodes=(2, 0)))
    augment(source, tmp_path / "c", tools, prompts, replace(ONE, seed=1))
    a, b, c = (read_provenance(tmp_path / name) for name in "abc")
    assert [line["from"]["episode"] for line in b] == [0, 0, 2, 2]
    assert [line["seed"] for line in b] == [line["seed"] for line in (a[0], a[1], a[4], a[5])]
    assert not {line["seed"] for line in a} & {line["seed"] for line in c}


def test_interrupted_anywhere_it_ends_with_the_same_dataset(
    tmp_path: Path, source: Path, tools: Tools, prompts: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every rename of a whole run is once the moment of a crash that leaves no time to tidy up."""
    import os

    from emma.datasets.writer import DatasetWriter

    tools = replace(tools, scorer=RednessScorer)
    config = replace(JUDGED, episodes=(0,), variants=3, video=True, moments=1)
    augment(source, tmp_path / "reference", tools, prompts, config)
    real, step, interrupted = os.replace, 0, True
    while interrupted:
        out, left = tmp_path / f"crash{step}", [step]

        def crash(old: object, new: object, left: list = left) -> None:
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            real(old, new)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", crash)
            patch.setattr(DatasetWriter, "finalize", lambda writer: os.close(writer._lock))
            try:
                augment(source, out, tools, prompts, config)
                interrupted = False
            except KeyboardInterrupt:
                pass
        augment(source, out, tools, prompts, config)
        assert _same(out, tmp_path / "reference"), step
        # Renames of the same kind come again and again; later ones are tried with larger steps.
        step += 1 if step < 12 else 7
    assert step > 30


def _same(a: Path, b: Path) -> bool:
    """The same datasets; the page differs in the folder's name."""
    return all((a / part).is_dir() and sha256_tree(a / part) == sha256_tree(b / part) for part in PARTS)


def test_sources_with_video_stay_video(
    tmp_path: Path, make_source: Callable, tools: Tools, prompts: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_source("videos", video=True)
    augment(source, tmp_path / "out", tools, prompts, replace(ONE, variants=1))
    dataset = LeRobotDataset("local/test", root=tmp_path / "out", video_backend="pyav")
    assert dataset.meta.video_keys == ["observation.images.top", "observation.images.wrist"]
    assert dataset[6]["observation.images.top"].shape == (3, 24, 32)
    assert validate(tmp_path / "out") == []
    augment(source, tmp_path / "png", tools, prompts, replace(ONE, variants=1, video=False))
    assert LeRobotDataset("local/test", root=tmp_path / "png").meta.video_keys == []
    assert tables(tmp_path / "png")[0]["action"].equals(tables(source)[0]["action"])


def test_depth_that_is_estimated_is_not_written(
    tmp_path: Path, make_source: Callable, prompts: Callable, hue_shift: type
) -> None:
    seen = []

    class Watching(hue_shift):  # type: ignore[valid-type,misc]
        def generate(self, clip: Clip, prompt: str, *, seed: int) -> dict[str, np.ndarray]:
            seen.append({camera: int(depth[0, 0, 0]) for camera, depth in clip.depth.items()})
            return super().generate(clip, prompt, seed=seed)

    def estimate(clip: Clip) -> dict[str, np.ndarray]:
        return {camera: np.full(images.shape[:3], 500, np.uint16) for camera, images in clip.images.items()}

    source = make_source("plain", depth=False)
    augment(source, tmp_path / "out", Tools(generator=Watching, depth=lambda: estimate), prompts, ONE)
    assert seen == [{"top": 500, "wrist": 500}] * 2
    assert not [key for key in LeRobotDataset("local/test", root=tmp_path / "out").features if "depth" in key]


def test_progress_counts_clips(tmp_path: Path, source: Path, tools: Tools, prompts: Callable) -> None:
    told: list[tuple[int, int]] = []
    augment(source, tmp_path / "out", tools, prompts, ONE, lambda done, total, note: told.append((done, total)))
    assert told[0] == (0, 6)
    assert (6, 6) in told
    assert {total for _, total in told} == {6}


def test_a_page_tells_numbers_of_every_clip(tmp_path: Path, source: Path, tools: Tools, prompts: Callable) -> None:
    report = augment(source, tmp_path / "out", replace(tools, scorer=RednessScorer), prompts, JUDGED)
    page = report.page.read_text()
    for line in read_provenance(tmp_path / "out"):
        assert line["prompt"] in page
        assert f"{line['scores']['redness']:.3g}" in page
    rejected = read_provenance(tmp_path / "out/rejected")
    assert len(rejected) == 2
    assert all(line["prompt"] in page and line["reason"] in page for line in rejected)
    assert "://" not in page, "it needs nothing from elsewhere"
    # A picture of every source and every clip; the same as PNG sheets, the rejected ones apart.
    assert page.count('src="data:image/png;base64,') == 3 + 6
    sheets = {path.name: cv2.imread(str(path)) for path in report.page.parent.glob("*.png")}
    assert set(sheets) == {*(f"episode-{i:06d}.png" for i in range(3)), "rejected.png"}
    assert all(sheet.shape[1] > 6 * 2 * 32 for sheet in sheets.values()), "both views at every moment"
    assert json.loads((tmp_path / "out/.augment/done.json").read_text()) == {"accepted": 4, "rejected": 2, "failed": []}
