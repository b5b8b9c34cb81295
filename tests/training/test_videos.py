"""Video datasets, as LeRobot reads them: any codec, few pictures in memory, decoded ahead of the step."""

import json
from itertools import pairwise

import av
import numpy as np
import pytest
import torch
from dataset_of_numbers import write_dataset
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from emma.errors import EmmaError
from emma.training.ahead import Ahead
from emma.training.config import TrainConfig
from emma.training.frames import FrameTable, open_source
from emma.training.loop import train

FRAME = 2 * 96 * 96 * 3


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("filmed") / "filmed", [9, 1, 6], video=True)


def recoded(file, codec, options):
    """Write a video anew with another codec."""
    aside = file.with_suffix(".new.mp4")
    with av.open(str(file)) as source, av.open(str(aside), "w") as target:
        stream = target.add_stream(codec, source.streams.video[0].average_rate, options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 96, "yuv420p"
        for frame in source.decode(video=0):
            target.mux(stream.encode(av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24")))
        target.mux(stream.encode(None))
    aside.replace(file)


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("", {}),
        ("libx264", {"g": "50", "bf": "2"}),
        ("libx265", {"g": "4", "x265-params": "log-level=error:bframes=0"}),
    ],
    ids=["av1", "h264 with b-frames", "hevc"],
)
def test_a_batch_of_video_is_what_lerobots_loader_gives(tmp_path, filmed, codec, options):
    import shutil

    root = filmed
    if codec:
        root = shutil.copytree(filmed, tmp_path / "recoded")
        for file in (root / "videos").rglob("*.mp4"):
            recoded(file, codec, options)
    table = FrameTable([open_source(root)], ("top", "wrist"), memory_bytes=FRAME * 5)
    fps = open_source(root).meta.fps
    theirs = LeRobotDataset("local/x", root=root, delta_timestamps={"action": [0, 1 / fps]}, video_backend="pyav")
    indices = np.array([15, 3, 2, 9, 0, 8, 10, 4])
    for _ in range(2):
        batch = table.batch(indices, range(2))
        for row, index in enumerate(indices):
            item = theirs[int(index)]
            for key in ("action", "observation.state", "observation.images.top", "observation.images.wrist"):
                torch.testing.assert_close(batch[key][row], item[key], rtol=0, atol=1e-6)


def test_pictures_beyond_the_cache_are_decoded_for_each_step(filmed):
    table = FrameTable([open_source(filmed)], ("top", "wrist"), memory_bytes=FRAME * 5)
    whole = FrameTable([open_source(filmed)], ("top", "wrist"))
    steps = [np.array([i, 15 - i, 7]) for i in range(6)]
    ahead = Ahead(table, lambda step: steps[step], None, len(steps))
    for step, frames in enumerate(steps):
        drawn, pixels = ahead.take(step)
        np.testing.assert_array_equal(drawn, frames)
        for camera in table.cameras:
            np.testing.assert_array_equal(pixels[camera], whole.pixels(camera, frames))
    ahead.close()
    assert not table.in_memory
    whole.pixels("top", np.arange(16))
    whole.pixels("wrist", np.arange(16))
    assert whole.in_memory


def test_what_was_decoded_for_other_draws_is_not_used(filmed):
    table = FrameTable([open_source(filmed)], ("top",), memory_bytes=0)
    draws = {0: np.array([1]), 1: np.array([2]), 2: np.array([3])}
    ahead = Ahead(table, draws.__getitem__, None, 3)
    ahead.take(0)
    draws[1] = np.array([12])
    frames, pixels = ahead.take(1)
    assert frames == [12]
    np.testing.assert_array_equal(pixels["top"], table.pixels("top", np.array([12])))


def test_one_frame_episodes_stay_apart(filmed):
    table = FrameTable([open_source(filmed)], ("top",))
    assert [b - a for a, b in pairwise(table.starts)] == [9, 1, 6]
    batch = table.batch(np.array([9]), range(3))
    assert batch["action_is_pad"].tolist() == [[False, True, True]]


def test_training_on_video_resumes_nothing_and_ends_in_a_bundle(filmed, tmp_path, capfd):
    config = TrainConfig(
        data=(str(filmed),), policy="act_small", steps=2, batch_size=2, log_every=1, cameras=("top",), cache_gb=0.0
    )
    out = train(config, tmp_path / "bundle")
    rows = [json.loads(line) for line in (out / "training/log.jsonl").read_text().splitlines()]
    assert all(0 <= row["data_ms"] <= row["step_ms"] for row in rows)
    assert "0 of 16 frames stay decoded, 0.00 GB; the others" in capfd.readouterr().err


def test_a_video_that_ends_early_is_refused_by_name(filmed, tmp_path):
    import shutil

    root = shutil.copytree(filmed, tmp_path / "short")
    file = sorted((root / "videos/observation.images.top").rglob("*.mp4"))[0]
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 3])
    table = FrameTable([open_source(root)], ("top",))
    with pytest.raises(EmmaError, match=r"file-000\.mp4"):
        table.pixels("top", np.array([8]))
