"""Masks of the robot: its real pixels stay in every generated picture, wherever the masks come from."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from emma.augmentation.clips import Tools
from emma.augmentation.config import AugmentConfig
from emma.augmentation.job import augment
from emma.augmentation.masks import FileMasks, StoredMasks
from emma.datasets.files import decoded, encoded_images
from emma.datasets.index import read_provenance
from emma.datasets.source import SourceDataset
from emma.datasets.validate import validate
from emma.errors import EmmaError

ONE = AugmentConfig(variants=1, workers=1, also={"kept_robot": "masks"})
ROBOT = slice(4, 12)


def pictures(root: Path, index: int, camera: str) -> np.ndarray:
    rows = SourceDataset.open(root).only(("top", "wrist")).read(index).rows
    return np.stack([decoded(data) for data in encoded_images(rows[f"observation.images.{camera}"])])


def write_masks(folder: Path, camera: str, lengths: list[int], size: tuple[int, int]) -> Path:
    """Rows ROBOT of every picture are the robot."""
    for episode, length in enumerate(lengths):
        place = folder / camera / f"{episode:06d}"
        place.mkdir(parents=True)
        mask = np.zeros(size, np.uint8)
        mask[ROBOT] = 255
        for frame in range(length):
            cv2.imwrite(str(place / f"{frame:05d}.png"), mask)
    return folder


def test_pixels_under_a_mask_are_the_recorded_ones(
    tmp_path: Path, source: Path, tools: Tools, prompts: Callable
) -> None:
    opened = SourceDataset.open(source)
    size, lengths = opened.size("top"), [opened.length(i) for i in range(len(opened))]
    folder = write_masks(tmp_path / "masks", "top", lengths, size)
    augment(source, tmp_path / "out", replace(tools, masks=lambda: FileMasks(folder)), prompts, ONE)
    assert validate(tmp_path / "out", every_image=True) == []
    for index in range(3):
        before, after = (pictures(root, index, "top") for root in (source, tmp_path / "out"))
        np.testing.assert_array_equal(before[:, ROBOT], after[:, ROBOT])
        assert (before[:, 12:] != after[:, 12:]).any(), "the rest is drawn anew"
        assert (
            pictures(source, index, "wrist")[:, ROBOT] != pictures(tmp_path / "out", index, "wrist")[:, ROBOT]
        ).any()
    assert {line["kept_robot"] for line in read_provenance(tmp_path / "out")} == {"masks"}
    with pytest.raises(EmmaError, match=r"another augmentation(.|\n)*kept_robot"):
        augment(source, tmp_path / "out", tools, prompts, replace(ONE, also={}))


def test_masks_of_a_foreign_dataset_are_used_and_copied(tmp_path: Path, prompts: Callable, hue_shift: type) -> None:
    image = {"dtype": "image", "shape": (24, 32, 3), "names": ["height", "width", "channels"]}
    vector = {"dtype": "float32", "shape": (2,), "names": ["a", "b"]}
    features = {"observation.images.top": image, "observation.mask.top": image}
    features |= {"observation.state": vector, "action": vector}
    made = LeRobotDataset.create("local/theirs", fps=10, features=features, root=tmp_path / "theirs", use_videos=False)
    rng = np.random.default_rng(0)
    for _ in range(5):
        mask = np.zeros((24, 32, 3), np.uint8)
        mask[ROBOT] = 255
        frame = {"observation.images.top": rng.integers(0, 255, (24, 32, 3), np.uint8), "observation.mask.top": mask}
        numbers = {name: rng.normal(size=2).astype(np.float32) for name in ("observation.state", "action")}
        made.add_frame({**frame, **numbers, "task": "wave"})
    made.save_episode()
    made.finalize()

    tools = Tools(
        generator=lambda: hue_shift(views=("top",)),
        depth=lambda: lambda clip: {view: np.ones(i.shape[:3], np.uint16) for view, i in clip.images.items()},
        masks=StoredMasks,
    )
    augment(tmp_path / "theirs", tmp_path / "out", tools, prompts, ONE)
    before, after = (LeRobotDataset("local/test", root=tmp_path / name) for name in ("theirs", "out"))
    for i in range(5):
        old, new = (dataset[i]["observation.images.top"].numpy() for dataset in (before, after))
        np.testing.assert_array_equal(old[:, ROBOT], new[:, ROBOT])
        assert (old[:, 12:] != new[:, 12:]).any()
        np.testing.assert_array_equal(before[i]["observation.mask.top"], after[i]["observation.mask.top"])
    for name in ("mean", "max"):
        np.testing.assert_allclose(*(d.meta.stats["observation.mask.top"][name] for d in (before, after)), atol=1e-3)


def test_masks_that_do_not_fit_are_named(tmp_path: Path, source: Path, tools: Tools, prompts: Callable) -> None:
    few = write_masks(tmp_path / "few", "top", [3, 3, 3], (24, 32))
    with pytest.raises(EmmaError, match=r"do not fit episode 0(.|\n)*3 PNG files(.|\n)*7"):
        augment(source, tmp_path / "a", replace(tools, masks=lambda: FileMasks(few)), prompts, ONE)
    large = write_masks(tmp_path / "large", "top", [7, 8, 9], (48, 64))
    with pytest.raises(EmmaError, match=r"another size(.|\n)*64 x 48(.|\n)*32 x 24"):
        augment(source, tmp_path / "b", replace(tools, masks=lambda: FileMasks(large)), prompts, ONE)


def test_the_verb_says_where_there_are_none(tmp_path: Path, source: Path, capsys: pytest.CaptureFixture) -> None:
    from emma.cli import main

    command = ["augment", str(source), "--prompts", "desk", "--out", str(tmp_path / "out"), "--keep-robot"]
    assert main(command) == 2
    assert "has no masks of the robot" in capsys.readouterr().err
    (tmp_path / "masks" / "left").mkdir(parents=True)
    assert main([*command, str(tmp_path / "masks")]) == 2
    assert "no masks for" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
