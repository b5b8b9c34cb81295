"""Bags to datasets: the frames are those of the robot's own aligner, and every episode left out has its reason."""

import json
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from mcap.reader import make_reader
from rosbags.rosbag2 import Reader, StoragePlugin, Writer

from emma.bags.episode import EpisodeMeta, Mark
from emma.bags.message_definitions import typestore
from emma.bags.repair import repair_all
from emma.conversion.config import ConvertConfig
from emma.conversion.convert import ConvertReport, convert
from emma.datasets.features import dataset_features
from emma.datasets.index import read_provenance
from emma.errors import EmmaError
from emma.files import sha256_tree
from emma.observation import Aligner
from emma.robots.spec import RobotSpec

Make = Callable


def outcomes(report: ConvertReport) -> dict[str, str]:
    return {result.episode: result.outcome for result in report.results}


def only_reason(report: ConvertReport) -> str:
    [result] = report.results
    assert result.outcome in ("refused", "skipped"), result
    return result.reason


def live_frames(bag: Path, spec: RobotSpec, times_ns: list[int]) -> list:
    """What a robot would have seen: messages decoded by another reader, pushed in the order of their stamps."""
    store, received = typestore(), []
    with Reader(bag) as reader:
        for connection, log_ns, data in reader.messages():
            message = store.deserialize_cdr(data, connection.msgtype)
            stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
            received.append((stamp, connection.topic, message, log_ns))
    aligner = Aligner(spec, depth=True)
    frames = []
    for time_ns in times_ns:
        while received and min(received, key=lambda r: r[0])[0] <= time_ns:
            received.sort(key=lambda r: r[0])
            _, topic, message, log_ns = received.pop(0)
            aligner.push(topic, message, log_ns)
        frames.append((aligner.at(time_ns), aligner.command_at(time_ns)))
    return frames


def test_frames_are_those_of_the_live_aligner_bit_for_bit(tmp_path: Path, spec: RobotSpec, make_scene: Make) -> None:
    bag = make_scene(spec, seconds=1.0).record(tmp_path / "bags")
    report = convert(tmp_path / "bags", tmp_path / "data", spec)
    assert (report.count("converted"), report.frames) == (1, 10)
    dataset = LeRobotDataset("local/test", root=tmp_path / "data")
    [entry] = read_provenance(tmp_path / "data")
    # The second camera starts 1 ms late: that is the first moment at which everything is there.
    times = [entry["first_stamp_ns"] + i * 10**9 // 10 for i in range(10)]
    assert times[0] == 1_700_000_000_124_456_789
    for i, (observation, action) in enumerate(live_frames(bag, spec, times)):
        item = dataset[i]
        np.testing.assert_array_equal(item["observation.state"], observation.state)
        np.testing.assert_array_equal(item["action"], action)
        assert item["timestamp"].item() == np.float32(i / 10)
        for name in spec.camera_names:
            pixels = (item[f"observation.images.{name}"] * 255).round().to(torch.uint8).permute(1, 2, 0)
            np.testing.assert_array_equal(pixels, observation.images[name])
            np.testing.assert_array_equal(item[f"observation.depth.{name}"][0], observation.depth[name])


def test_provenance_says_where_an_episode_comes_from(tmp_path: Path, spec: RobotSpec, make_scene: Make) -> None:
    bag = make_scene(spec).record(tmp_path / "bags", kind="policy", policy="models/a", success=True, notes="fine")
    convert(tmp_path / "bags", tmp_path / "data", spec)
    [entry] = read_provenance(tmp_path / "data")
    meta = EpisodeMeta.load(bag)
    assert entry["episode_id"] == meta.id
    assert entry["embodiment"] == "tiny_arm"
    assert (entry["kind"], entry["policy"], entry["success"], entry["notes"]) == ("policy", "models/a", True, "fine")
    assert len(entry["bag_sha256"]) == 64
    assert entry["lost_messages"] == 0
    assert entry["ages_s"]["images.top"]["max"] < 0.04
    assert entry["skew_s"]["max"] == pytest.approx(0.001)


def test_a_second_run_adds_only_what_is_new(tmp_path: Path, spec: RobotSpec, make_scene: Make) -> None:
    first = make_scene(spec, seed=1).record(tmp_path / "bags", id="a")
    assert outcomes(convert(tmp_path / "bags", tmp_path / "data", spec)) == {"a": "converted"}
    before = {p: p.read_bytes() for p in (tmp_path / "data/data").rglob("*.parquet")}
    assert outcomes(convert(tmp_path / "bags", tmp_path / "data", spec)) == {"a": "present"}
    make_scene(spec, seed=2).record(tmp_path / "bags", id="b")
    assert outcomes(convert(tmp_path / "bags", tmp_path / "data", spec)) == {"a": "present", "b": "converted"}
    assert all(path.read_bytes() == content for path, content in before.items())
    dataset = LeRobotDataset("local/test", root=tmp_path / "data")
    assert (dataset.num_episodes, dataset.num_frames) == (2, 40)
    assert first.name == "a"


def test_workers_give_the_same_dataset(tmp_path: Path, spec: RobotSpec, make_scene: Make) -> None:
    for seed in range(3):
        make_scene(spec, seconds=1.0, seed=seed).record(tmp_path / "bags", id=f"e{seed}")
    make_scene(spec).without(lambda topic, _: topic == "/wrist/depth").record(tmp_path / "bags", id="e1b")
    heard = []
    convert(tmp_path / "bags", tmp_path / "one", spec)
    report = convert(
        tmp_path / "bags",
        tmp_path / "two",
        spec,
        ConvertConfig(workers=2),
        progress=lambda result, total: heard.append((result.episode, total)),
    )
    assert heard == [(name, 4) for name in ("e0", "e1", "e1b", "e2")]
    assert outcomes(report)["e1b"] == "refused"
    assert sha256_tree(tmp_path / "one") == sha256_tree(tmp_path / "two")


@pytest.mark.parametrize(
    ("meta", "config", "reason"),
    [
        ({"state": "discarded"}, {}, "discarded"),
        ({"success": False}, {"keep_failed": False}, "failed"),
        ({"robot": "other_arm"}, {}, "recorded with robot other_arm, not tiny_arm"),
        ({"instruction": " "}, {}, "no instruction"),
    ],
)
def test_unwanted_episodes_are_left_out_with_a_reason(
    tmp_path: Path, spec: RobotSpec, make_scene: Make, meta: dict, config: dict, reason: str
) -> None:
    make_scene(spec, seconds=0.2).record(tmp_path / "bags", **meta)
    assert reason in only_reason(convert(tmp_path / "bags", tmp_path / "data", spec, ConvertConfig(**config)))
    assert not (tmp_path / "data").exists()


def test_recovered_episodes_are_taken_on_request(tmp_path: Path, spec: RobotSpec, make_scene: Make) -> None:
    bag = make_scene(spec, seconds=0.5).record(tmp_path / "bags")
    EpisodeMeta.load(bag).with_(state="recovered").save(bag)
    assert "cut short" in only_reason(convert(tmp_path / "bags", tmp_path / "data", spec))
    report = convert(tmp_path / "bags", tmp_path / "data", spec, ConvertConfig(keep_recovered=True))
    assert report.count("converted") == 1
    assert read_provenance(tmp_path / "data")[0]["state"] == "recovered"


@pytest.mark.parametrize(
    ("drop", "reason"),
    [
        (lambda topic, _: topic == "/wrist/depth", "lacks"),
        (lambda topic, _: topic == "/command", "lacks"),
        (lambda topic, t: topic == "/top/image" and 0.5 < t < 1.1, "images.top older than 0.25 s in 4 of 20 frames"),
        (lambda topic, t: topic == "/top/image" and 0.5 < t < 1.1, "cameras more than 0.05 s apart in"),
        (lambda topic, t: topic == "/joint_states" and 0.1 < t < 1.9, "state older than 0.25 s"),
        (lambda topic, t: (topic != "/top/image" and t > 0.2) or (topic == "/top/image" and t < 1), "never overlap"),
    ],
)
def test_incomplete_episodes_are_refused_with_numbers(
    tmp_path: Path, spec: RobotSpec, make_scene: Make, drop: Callable, reason: str
) -> None:
    scene = make_scene(spec).without(drop)
    folder = scene.record(tmp_path / "bags")
    if reason == "lacks":
        reason = "no message of"
    assert reason in only_reason(convert(tmp_path / "bags", tmp_path / "data", spec))
    assert folder.exists()
    assert not (tmp_path / "data").exists()


def test_stale_episodes_are_marked_on_request(tmp_path: Path, spec: RobotSpec, make_scene: Make) -> None:
    scene = make_scene(spec).without(lambda topic, t: topic == "/top/image" and 0.5 < t < 1.1)
    scene.record(tmp_path / "bags")
    report = convert(tmp_path / "bags", tmp_path / "data", spec, ConvertConfig(keep_stale=True))
    assert report.frames == 20
    assert (
        "images.top older than 0.25 s in 4 of 20 frames (up to 0."
        in read_provenance(tmp_path / "data")[0]["beyond_limits"]
    )


def test_a_clock_set_back_is_refused(tmp_path: Path, spec: RobotSpec, make_scene: Make) -> None:
    first, second = make_scene(spec, seconds=1.0), make_scene(spec, seconds=1.0, start_ns=1_699_999_990_000_000_000)
    first.messages += second.messages
    first.record(tmp_path / "bags")
    assert "was set back" in only_reason(convert(tmp_path / "bags", tmp_path / "data", spec))


def test_bags_without_the_robots_topics_name_them(
    tmp_path: Path, spec: RobotSpec, make_spec: Make, make_scene: Make
) -> None:
    make_scene(make_spec(cameras=("top",)), seconds=0.3).record(tmp_path / "bags")
    reason = only_reason(convert(tmp_path / "bags", tmp_path / "data", spec))
    assert "lacks /wrist/image, /wrist/depth" in reason
    report = convert(tmp_path / "bags", tmp_path / "data", spec, ConvertConfig(cameras=("top",)))
    assert report.count("converted") == 1


def test_depth_can_be_left_out(tmp_path: Path, spec: RobotSpec, make_scene: Make) -> None:
    scene = make_scene(spec, seconds=0.3).without(lambda topic, _: topic.endswith("depth"))
    scene.record(tmp_path / "bags")
    report = convert(tmp_path / "bags", tmp_path / "data", spec, ConvertConfig(depth=False))
    assert report.count("converted") == 1
    assert LeRobotDataset("local/test", root=tmp_path / "data").meta.depth_keys == []


def test_an_unfinished_bag_is_refused_until_it_is_repaired(tmp_path: Path, spec: RobotSpec, make_scene: Make) -> None:
    bag = make_scene(spec, seconds=0.5).record(tmp_path / "bags")
    file = bag / f"{bag.name}_0.mcap"
    file.write_bytes(file.read_bytes()[:-2000])
    assert "unfinished" in only_reason(convert(tmp_path / "bags", tmp_path / "data", spec))
    EpisodeMeta.load(bag).with_(state="recording").save(bag)
    assert "emma episodes repair" in only_reason(convert(tmp_path / "bags", tmp_path / "data", spec))


def test_one_broken_bag_does_not_stop_the_others(tmp_path: Path, spec: RobotSpec, make_scene: Make) -> None:
    for name in ("a", "b", "c"):
        make_scene(spec, seconds=0.4).record(tmp_path / "bags", id=name)
    (tmp_path / "bags/b/b_0.mcap").write_text("overwritten by mistake")
    (tmp_path / "bags/c/episode.yaml").write_text("id: [")
    report = convert(tmp_path / "bags", tmp_path / "data", spec)
    assert outcomes(report) == {"a": "converted", "b": "refused", "c": "refused"}
    assert LeRobotDataset("local/test", root=tmp_path / "data").num_episodes == 1


def test_other_peoples_bags_need_only_the_words(tmp_path: Path, spec: RobotSpec, make_scene: Make) -> None:
    bag = make_scene(spec, seconds=0.5).record(tmp_path / "ours", id="e")
    store, sent = typestore(), []
    with Reader(bag) as reader:
        sent = [(c.topic, c.msgtype, t, bytes(d)) for c, t, d in reader.messages()]
    for name, plugin in (("lab/sqlite", StoragePlugin.SQLITE3), ("lab/mcap", StoragePlugin.MCAP)):
        (tmp_path / "theirs/lab").mkdir(parents=True, exist_ok=True)
        with Writer(tmp_path / "theirs" / name, version=9, storage_plugin=plugin) as writer:
            connections = {}
            # Not in the order they were received, and with a topic nobody asked for.
            for topic, kind, log_ns, data in [*sent[1::2], *sent[::2], ("/chatter", "std_msgs/msg/String", 5, b"")]:
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=store)
                writer.write(connections[topic], log_ns, data)
    assert "--instruction" in convert(tmp_path / "theirs", tmp_path / "no", spec).results[0].reason
    report = convert(tmp_path / "theirs", tmp_path / "data", spec, ConvertConfig(instruction="tidy up"))
    assert outcomes(report) == {"lab/mcap": "converted", "lab/sqlite": "converted"}, report
    convert(tmp_path / "ours", tmp_path / "reference", spec)
    reference = LeRobotDataset("local/test", root=tmp_path / "reference")
    dataset = LeRobotDataset("local/test", root=tmp_path / "data")
    for i in range(10):
        for key in (*dataset_features(spec), "timestamp"):
            np.testing.assert_array_equal(dataset[i][key], reference[i % 5][key])
    assert dataset[0]["task"] == "tidy up"


def test_several_bags_of_one_episode(tmp_path: Path, spec: RobotSpec, make_scene: Make) -> None:
    """Cameras and arm recorded apart, in different storages, one of them without its metadata.yaml."""
    bag = make_scene(spec, seconds=0.5).record(tmp_path / "ours", id="e")
    store = typestore()
    with Reader(bag) as reader:
        sent = [(c.topic, c.msgtype, t, bytes(d)) for c, t, d in reader.messages()]
    for name, plugin in (("cameras", StoragePlugin.MCAP), ("arm", StoragePlugin.SQLITE3)):
        folder = tmp_path / "theirs/monday" / name
        folder.parent.mkdir(parents=True, exist_ok=True)
        with Writer(folder, version=9, storage_plugin=plugin) as writer:
            connections = {}
            for topic, kind, log_ns, data in sent:
                if ("Image" in kind) == (name == "cameras"):
                    if topic not in connections:
                        connections[topic] = writer.add_connection(topic, kind, typestore=store)
                    writer.write(connections[topic], log_ns, data)
    (tmp_path / "theirs/monday/arm/metadata.yaml").unlink()
    words = ConvertConfig(instruction="tidy up")
    alone = convert(tmp_path / "theirs", tmp_path / "no", spec, words)
    assert outcomes(alone) == {"monday/arm": "refused", "monday/cameras": "refused"}
    report = convert(tmp_path / "theirs", tmp_path / "data", spec, replace(words, joined=True))
    assert outcomes(report) == {"monday": "converted"}
    convert(tmp_path / "ours", tmp_path / "reference", spec)
    reference = LeRobotDataset("local/test", root=tmp_path / "reference")
    dataset = LeRobotDataset("local/test", root=tmp_path / "data")
    assert len(dataset) == len(reference)
    for i in range(len(dataset)):
        for key in (*dataset_features(spec), "timestamp"):
            np.testing.assert_array_equal(dataset[i][key], reference[i][key])
    (entry,) = read_provenance(tmp_path / "data")
    assert entry["episode_id"] == "monday"
    assert all(report.action == "untouched" for report in repair_all(tmp_path / "theirs"))


def test_interventions_become_frame_ranges(tmp_path: Path, spec: RobotSpec, make_scene: Make) -> None:
    bag = make_scene(spec).record(tmp_path / "bags", kind="policy")
    start = 1_700_000_000_124_456_789
    marks = tuple(
        Mark(time_ns=start + int(t * 1e9), label=label)
        for t, label in ((0.45, "intervention"), (0.7, "look"), (1.0, "policy"), (1.75, "intervention"))
    )
    EpisodeMeta.load(bag).with_(marks=marks).save(bag)
    convert(tmp_path / "bags", tmp_path / "data", spec)
    assert read_provenance(tmp_path / "data")[0]["interventions"] == [[5, 10], [18, 20]]


def test_bad_input_is_named(tmp_path: Path, spec: RobotSpec, make_spec: Make, make_scene: Make) -> None:
    (tmp_path / "bags").mkdir()
    with pytest.raises(EmmaError, match="no episodes below"):
        convert(tmp_path / "bags", tmp_path / "data", spec)
    with pytest.raises(EmmaError, match="no folder"):
        convert(tmp_path / "nowhere", tmp_path / "data", spec)
    (tmp_path / "bag.mcap").touch()
    with pytest.raises(EmmaError, match="no folder") as caught:
        convert(tmp_path / "bag.mcap", tmp_path / "data", spec)
    assert (caught.value.found, caught.value.fix) == ("a file", "give the folder that it is in")
    with pytest.raises(EmmaError, match="bad value for workers"):
        ConvertConfig(workers=0)
    make_scene(spec, seconds=0.3).record(tmp_path / "bags")
    convert(tmp_path / "bags", tmp_path / "data", spec)
    with pytest.raises(EmmaError, match="other features"):
        convert(tmp_path / "bags", tmp_path / "data", make_spec(cameras=("top",)))


def test_the_bag_is_not_touched(tmp_path: Path, spec: RobotSpec, make_scene: Make) -> None:
    bag = make_scene(spec, seconds=0.3).record(tmp_path / "bags")
    before = sha256_tree(bag)
    convert(tmp_path / "bags", tmp_path / "data", spec)
    assert sha256_tree(bag) == before
    with (bag / f"{bag.name}_0.mcap").open("rb") as file:
        assert make_reader(file).get_summary() is not None
    assert json.loads((tmp_path / "data/meta/info.json").read_text())["robot_type"] == "tiny_arm"


def test_a_disk_that_takes_no_more_keeps_what_was_done(tmp_path: Path, spec: RobotSpec, make_scene: Make) -> None:
    for name in ("a", "b"):
        make_scene(spec, seconds=0.2 if name == "a" else 4.0).record(tmp_path / "bags", id=name)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (160_000, limits[1]))
    try:
        with pytest.raises(EmmaError, match="stopped after 1 episodes") as caught:
            convert(tmp_path / "bags", tmp_path / "data", spec)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "File too large" in str(caught.value)
    assert LeRobotDataset("local/test", root=tmp_path / "data").num_episodes == 1
    assert outcomes(convert(tmp_path / "bags", tmp_path / "data", spec)) == {"a": "present", "b": "converted"}
