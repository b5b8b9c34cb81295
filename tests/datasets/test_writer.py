"""Datasets as LeRobot itself loads them: bit-exact, appendable, whole after a crash."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lerobot.configs.video import RGBEncoderConfig
from lerobot.datasets.compute_stats import DEFAULT_QUANTILES, RunningQuantileStats, auto_downsample_height_width
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.datasets.video_utils import get_video_info
from lerobot.utils.constants import DEFAULT_FEATURES

from emma.datasets.encode import encode_episode
from emma.datasets.features import INDEXES, dataset_features
from emma.datasets.image_stats import QUANTILES, ImageStats
from emma.datasets.index import read_provenance
from emma.datasets.validate import validate
from emma.datasets.video import TASKS, VideoFile
from emma.datasets.writer import DatasetWriter, reading
from emma.errors import EmmaError
from emma.files import sha256_tree
from emma.robots.spec import RobotSpec


def test_lerobot_loads_every_value_bit_for_bit(tmp_path: Path, spec: RobotSpec, make_frames: Callable) -> None:
    episodes = [list(make_frames(spec, 7, seed=1)), list(make_frames(spec, 4, seed=2))]
    with DatasetWriter(tmp_path / "data", spec) as writer:
        for i, frames in enumerate(episodes):
            assert writer.add_episode(iter(frames), f"task {i}", {"episode_id": f"e{i}"}) == i
    dataset = LeRobotDataset("local/test", root=tmp_path / "data")
    assert (dataset.num_episodes, dataset.num_frames, dataset.fps) == (2, 11, spec.fps)
    assert dataset.meta.depth_keys == ["observation.depth.top", "observation.depth.wrist"]
    assert dataset.meta.names["action"] == list(spec.joint_names)
    for i, (observation, action) in enumerate(episodes[0] + episodes[1]):
        item = dataset[i]
        episode, frame = (0, i) if i < 7 else (1, i - 7)
        assert (item["episode_index"].item(), item["frame_index"].item(), item["index"].item()) == (episode, frame, i)
        assert item["timestamp"].item() == np.float32(frame / spec.fps)
        assert item["task"] == f"task {episode}"
        np.testing.assert_array_equal(item["observation.state"], observation.state)
        np.testing.assert_array_equal(item["action"], action)
        for name in spec.camera_names:
            pixels = (item[f"observation.images.{name}"] * 255).round().to(torch.uint8).permute(1, 2, 0)
            np.testing.assert_array_equal(pixels, observation.images[name])
            np.testing.assert_array_equal(item[f"observation.depth.{name}"][0], observation.depth[name])
    assert read_provenance(tmp_path / "data") == [
        {"episode_index": 0, "episode_id": "e0"},
        {"episode_index": 1, "episode_id": "e1"},
    ]


def test_action_windows_stop_at_the_episode_border(tmp_path: Path, spec: RobotSpec, make_frames: Callable) -> None:
    with DatasetWriter(tmp_path / "data", spec) as writer:
        for seed in (1, 2):
            writer.add_episode(make_frames(spec, 5, seed), "a task")
    dataset = LeRobotDataset(
        "local/test", root=tmp_path / "data", delta_timestamps={"action": [i / spec.fps for i in range(3)]}
    )
    assert dataset[4]["action_is_pad"].tolist() == [False, True, True]
    assert dataset[5]["action"].shape == (3, 3)


def test_statistics_are_those_of_all_pixels(tmp_path: Path, spec: RobotSpec, make_frames: Callable) -> None:
    frames = list(make_frames(spec, 20, seed=3))
    with DatasetWriter(tmp_path / "data", spec) as writer:
        writer.add_episode(frames, "a task")
    stats = LeRobotDataset("local/test", root=tmp_path / "data").meta.stats
    images = np.stack([o.images["top"] for o, _ in frames]).reshape(-1, 3) / 255
    depth = np.stack([o.depth["top"] for o, _ in frames]).reshape(-1, 1).astype(np.float64)
    for key, values in (("observation.images.top", images), ("observation.depth.top", depth)):
        found = stats[key]
        np.testing.assert_allclose(found["mean"].ravel(), values.mean(0), rtol=1e-12)
        np.testing.assert_allclose(found["std"].ravel(), values.std(0), rtol=1e-9)
        np.testing.assert_array_equal(found["min"].ravel(), values.min(0))
        np.testing.assert_array_equal(found["max"].ravel(), values.max(0))
        assert found["count"].tolist() == [20]
        estimate = RunningQuantileStats()
        estimate.update(values)
        for name, value in estimate.get_statistics().items():
            if name.startswith("q"):
                np.testing.assert_allclose(found[name].ravel(), value, atol=0.003 * values.max())
    state = np.stack([o.state for o, _ in frames])
    np.testing.assert_allclose(stats["observation.state"]["mean"], state.mean(0), rtol=1e-5)


def test_appending_continues_tasks_and_indices(tmp_path: Path, spec: RobotSpec, make_frames: Callable) -> None:
    for seed, task in enumerate(("one", "two", "one")):
        with DatasetWriter(tmp_path / "data", spec) as writer:
            writer.add_episode(make_frames(spec, 1 + seed, seed), task, {"seed": seed})
    dataset = LeRobotDataset("local/test", root=tmp_path / "data")
    assert [dataset[i]["task"] for i in range(6)] == ["one", "two", "two", "one", "one", "one"]
    assert [dataset[i]["task_index"].item() for i in range(6)] == [0, 1, 1, 0, 0, 0]
    assert [row["seed"] for row in read_provenance(tmp_path / "data")] == [0, 1, 2]


def test_lerobot_resumes_our_dataset(tmp_path: Path, spec: RobotSpec, make_frames: Callable) -> None:
    frames = list(make_frames(spec, 3, seed=4))
    with DatasetWriter(tmp_path / "data", spec) as writer:
        writer.add_episode(frames, "ours")
    resumed = LeRobotDataset.resume("local/test", root=tmp_path / "data")
    for observation, action in frames:
        values = {f"observation.images.{c}": image for c, image in observation.images.items()}
        values |= {f"observation.depth.{c}": image[..., None] for c, image in observation.depth.items()}
        resumed.add_frame({**values, "observation.state": observation.state, "action": action, "task": "theirs"})
    resumed.save_episode()
    resumed.finalize()
    dataset = LeRobotDataset("local/test", root=tmp_path / "data")
    assert dataset.num_episodes == 2
    for key in ("observation.images.top", "observation.depth.wrist", "action"):
        np.testing.assert_array_equal(dataset[1][key], dataset[4][key])
    assert [dataset[i]["task"] for i in (0, 5)] == ["ours", "theirs"]


def test_many_episodes_fill_several_table_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_frames: Callable, make_spec: Callable
) -> None:
    monkeypatch.setattr("emma.datasets.index.EPISODES_PER_FILE", 3)
    spec = make_spec(cameras=())
    with DatasetWriter(tmp_path / "data", spec) as writer:
        for seed in range(8):
            writer.add_episode(make_frames(spec, 2, seed), "a task")
    assert len(list((tmp_path / "data/meta/episodes").glob("*/*.parquet"))) == 3
    dataset = LeRobotDataset("local/test", root=tmp_path / "data")
    assert [row["episode_index"] for row in dataset.meta.episodes] == list(range(8))
    assert dataset[15]["episode_index"].item() == 7


def test_an_error_leaves_the_dataset_as_it_was(tmp_path: Path, spec: RobotSpec, make_frames: Callable) -> None:
    def breaks():
        yield from make_frames(spec, 3)
        raise RuntimeError("camera unplugged")

    with DatasetWriter(tmp_path / "data", spec) as writer:
        writer.add_episode(make_frames(spec, 3), "a task")
        with pytest.raises(RuntimeError):
            writer.add_episode(breaks(), "another task")
        with pytest.raises(EmmaError, match="without frames"):
            writer.add_episode(iter(()), "another task")
        with pytest.raises(EmmaError, match="without an instruction"):
            writer.add_episode(make_frames(spec, 3), " ")
        writer.add_episode(make_frames(spec, 2), "a task")
    dataset = LeRobotDataset("local/test", root=tmp_path / "data")
    assert (dataset.num_episodes, dataset.num_frames, dataset.meta.total_tasks) == (2, 5, 1)
    assert not list((tmp_path / "data").glob(".staging*"))


def test_left_overs_of_a_crash_are_removed(
    tmp_path: Path, spec: RobotSpec, monkeypatch: pytest.MonkeyPatch, make_frames: Callable
) -> None:
    root = tmp_path / "data"
    with DatasetWriter(root, spec) as writer:
        writer.add_episode(make_frames(spec, 3, 1), "a task")
        # Killed between the data file and info.json, the last step.
        with monkeypatch.context() as patch:
            patch.setattr("emma.datasets.index._write_info", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                writer.add_episode(make_frames(spec, 5, 2), "a task that never was")
    assert len(list(root.glob("data/*/*.parquet"))) == 2
    with DatasetWriter(root, spec) as writer:
        assert (writer.num_episodes, writer.num_frames) == (1, 3)
        assert len(list(root.glob("data/*/*.parquet"))) == 1
        writer.add_episode(make_frames(spec, 4, 3), "another task")
    dataset = LeRobotDataset("local/test", root=root)
    assert (dataset.num_episodes, len(dataset.hf_dataset), dataset[6]["task"]) == (2, 7, "another task")


def test_encoded_elsewhere_in_any_order(tmp_path: Path, spec: RobotSpec, make_frames: Callable) -> None:
    features = dataset_features(spec)
    with DatasetWriter(tmp_path / "data", spec) as writer:
        encoded = [
            encode_episode(make_frames(spec, n, n), features, spec.fps, writer.staging / f"{n}.parquet") for n in (2, 3)
        ]
        for episode in reversed(encoded):
            writer.add_encoded(episode, "a task")
    dataset = LeRobotDataset("local/test", root=tmp_path / "data")
    np.testing.assert_array_equal(dataset[0]["action"], next(make_frames(spec, 1, 3))[1])
    np.testing.assert_array_equal(dataset[3]["action"], next(make_frames(spec, 1, 2))[1])


def test_a_long_episode_is_written_in_parts(
    tmp_path: Path, spec: RobotSpec, monkeypatch: pytest.MonkeyPatch, make_frames: Callable
) -> None:
    monkeypatch.setattr("emma.datasets.encode.ROW_GROUP_BYTES", 20_000)
    frames = list(make_frames(spec, 12))
    with DatasetWriter(tmp_path / "data", spec) as writer:
        writer.add_episode(frames, "a task")
    dataset = LeRobotDataset("local/test", root=tmp_path / "data")
    np.testing.assert_array_equal(dataset[11]["observation.depth.top"][0], frames[11][0].depth["top"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cameras": ("top",)}, "observation.images.wrist"),
        ({"joints": 4}, r"shape \[3\] in the dataset, \[4\] wanted"),
        ({"fps": 5}, "another fps"),
    ],
)
def test_a_dataset_of_something_else_is_refused(
    tmp_path: Path, spec: RobotSpec, change: dict, message: str, make_spec: Callable, make_frames: Callable
) -> None:
    with DatasetWriter(tmp_path / "data", spec) as writer:
        writer.add_episode(make_frames(spec, 2), "a task")
    with pytest.raises(EmmaError) as caught:
        DatasetWriter(tmp_path / "data", make_spec(**change))
    assert re.search(message, str(caught.value))


def test_two_writers_on_one_dataset_are_refused(tmp_path: Path, spec: RobotSpec) -> None:
    with DatasetWriter(tmp_path / "data", spec), pytest.raises(EmmaError, match="another process"):
        DatasetWriter(tmp_path / "data", spec)


def test_readers_and_a_writer_keep_each_other_out(tmp_path: Path, spec: RobotSpec, make_frames: Callable) -> None:
    root = tmp_path / "data"
    with DatasetWriter(root, spec) as writer:
        writer.add_episode(make_frames(spec, 2), "a task")
        with pytest.raises(EmmaError, match="is being written by another process"), reading(root):
            pass
    with reading(root), reading(root), pytest.raises(EmmaError, match="in use by another process"):
        DatasetWriter(root, spec)
    DatasetWriter(root, spec).finalize()


def test_any_features_make_a_dataset(tmp_path: Path, spec: RobotSpec, make_frames: Callable) -> None:
    features = dataset_features(spec, cameras=["wrist"])
    with DatasetWriter.of_features(tmp_path / "data", features, spec.fps, spec.name) as writer:
        writer.add_episode(make_frames(spec, 3), "a task")
    dataset = LeRobotDataset("local/test", root=tmp_path / "data")
    assert dataset.meta.camera_keys == ["observation.images.wrist", "observation.depth.wrist"]
    assert validate(tmp_path / "data") == []


def test_wrong_frames_are_refused_with_the_frame_number(
    tmp_path: Path, spec: RobotSpec, make_frames: Callable, make_spec: Callable
) -> None:
    frames = list(make_frames(spec, 2))
    nan = frames[1][1].copy()
    nan[0] = np.nan
    with DatasetWriter(tmp_path / "data", spec) as writer:
        with pytest.raises(EmmaError, match="action is not finite in frame 1"):
            writer.add_episode([frames[0], (frames[1][0], nan)], "a task")
        with pytest.raises(EmmaError, match="wrong shape of action in frame 0"):
            writer.add_episode([(frames[0][0], nan[:2])], "a task")
        with pytest.raises(EmmaError, match=r"observation\.images\.wrist"):
            writer.add_episode(make_frames(make_spec(cameras=("top",)), 1), "a task")


def test_a_folder_with_other_files_is_refused(tmp_path: Path, spec: RobotSpec) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(EmmaError, match="not empty"):
        DatasetWriter(tmp_path, spec)


def test_without_an_episode_there_is_no_dataset(tmp_path: Path, spec: RobotSpec) -> None:
    DatasetWriter(tmp_path / "data", spec).finalize()
    assert not (tmp_path / "data").exists()


def test_constants_that_are_copied_are_lerobots() -> None:
    assert tuple(DEFAULT_FEATURES) == INDEXES
    assert {f"q{int(q * 100):02d}": q for q in DEFAULT_QUANTILES} == QUANTILES
    for height, width in ((240, 320), (480, 640), (1080, 1920), (640, 480), (299, 299), (300, 20)):
        image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        ours = ImageStats(3, np.uint8, 1.0)
        ours.add(image)
        theirs = auto_downsample_height_width(image.transpose(2, 0, 1))
        np.testing.assert_allclose(ours.result()["mean"].ravel(), theirs.reshape(3, -1).mean(1), rtol=1e-12)


def test_encoding_does_not_load_torch() -> None:
    code = "import sys, emma.conversion.convert_job; sys.exit('torch' in sys.modules or 'lerobot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_colour_as_video_and_depth_still_exact(tmp_path: Path, make_spec: Callable, make_frames: Callable) -> None:
    spec = make_spec(cameras=("top",))
    camera = replace(spec.cameras[0], width=96, height=64)
    spec = replace(spec, cameras=(camera,))
    episodes = [list(make_frames(spec, 12, seed)) for seed in (1, 2)]
    ramp = np.linspace(0, 255, 96)
    for frames in episodes:
        for i, (observation, _) in enumerate(frames):
            observation.images["top"][:] = (128 + 100 * np.sin(ramp / 40 + i / 4))[None, :, None].astype(np.uint8)
    for frames in episodes:
        with DatasetWriter(tmp_path / "data", spec, video=True) as writer:
            writer.add_episode(frames, "a task")
    dataset = LeRobotDataset("local/test", root=tmp_path / "data", video_backend="pyav")
    assert dataset.meta.video_keys == ["observation.images.top"]
    assert (dataset.num_episodes, dataset.num_frames) == (2, 24)
    for i, (observation, _) in enumerate(episodes[0] + episodes[1]):
        item = dataset[i]
        error = (item["observation.images.top"] * 255).permute(1, 2, 0).numpy() - observation.images["top"]
        assert np.abs(error).mean() < 6
        np.testing.assert_array_equal(item["observation.depth.top"][0], observation.depth["top"])
    assert validate(tmp_path / "data") == []
    [video, _] = sorted((tmp_path / "data/videos").rglob("*.mp4"))
    info = get_video_info(video, RGBEncoderConfig())
    assert dataset.meta.features["observation.images.top"]["info"] == info
    with pytest.raises(EmmaError, match="other features"):
        DatasetWriter(tmp_path / "data", spec)


def test_an_encoder_does_not_put_itself_before_a_control_loop(tmp_path: Path) -> None:
    """Run as root, SVT-AV1 takes the highest real-time priority for itself and for whoever calls it."""

    def classes() -> set[int]:
        return {os.sched_getscheduler(int(thread)) for thread in os.listdir(TASKS)}

    before = classes()
    video = VideoFile(tmp_path / "video.mp4", 64, 96, fps=10)
    for level in range(5):
        video.add(np.full((64, 96, 3), 50 * level, np.uint8))
        assert classes() == before
    video.close()
    assert classes() == before


def test_a_failed_episode_leaves_no_video(tmp_path: Path, spec: RobotSpec, make_frames: Callable) -> None:
    features = dataset_features(spec, video=True)
    with pytest.raises(EmmaError, match="without frames"):
        encode_episode(iter(()), features, spec.fps, tmp_path / "e.parquet")
    frames = list(make_frames(spec, 2))
    with pytest.raises(EmmaError, match="wrong shape of action"):
        encode_episode([frames[0], (frames[1][0], frames[1][1][:1])], features, spec.fps, tmp_path / "e.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_crash_at_any_step_is_mended_by_the_next_opening(
    tmp_path: Path, spec: RobotSpec, make_frames: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    episodes = [list(make_frames(spec, 3, seed)) for seed in range(3)]

    def write(root: Path) -> None:
        with DatasetWriter(root, spec, video=True) as writer:
            for number in range(writer.num_episodes, len(episodes)):
                writer.add_episode(episodes[number], f"task {number % 2}", {"number": number})

    write(tmp_path / "reference")
    reference = sha256_tree(tmp_path / "reference")
    replace_file, steps, interrupted = os.replace, 0, True
    while interrupted:
        root, left = tmp_path / f"crash{steps}", [steps]

        def crash(source: object, target: object, left: list = left) -> None:
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            replace_file(source, target)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", crash)
            # A killed process does not tidy up either.
            patch.setattr(DatasetWriter, "finalize", lambda writer: os.close(writer._lock))
            try:
                write(root)
                interrupted = False
            except KeyboardInterrupt:
                interrupted = True
        write(root)
        assert sha256_tree(root) == reference, steps
        steps += 1
    assert steps > 15


def test_after_an_error_the_same_writer_goes_on(
    tmp_path: Path, spec: RobotSpec, make_frames: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    for root, failing in (("reference", False), ("data", True)):
        with DatasetWriter(tmp_path / root, spec) as writer:
            for number in range(3):
                frames = list(make_frames(spec, 3, number))
                for target in ("stats.json", "info.json") if failing else ():
                    real = os.replace

                    def full(source: object, to: object, target: str = target, real: Callable = real) -> None:
                        if str(to).endswith(target):
                            raise OSError(28, "No space left on device")
                        real(source, to)

                    with monkeypatch.context() as patch:
                        patch.setattr(os, "replace", full)
                        with pytest.raises(OSError, match="No space left"):
                            writer.add_episode(frames, "a task", {"number": number})
                writer.add_episode(frames, "a task", {"number": number})
    assert sha256_tree(tmp_path / "data") == sha256_tree(tmp_path / "reference")
