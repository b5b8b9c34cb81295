from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from emma.bags.episode import EpisodeMeta
from emma.bags.info import bag_info, list_episodes, topic_rates
from emma.bags.message_definitions import typestore
from emma.bags.plots import contact_sheet, plot_joints
from emma.bags.reader import Bag
from emma.bags.writer import BagWriter
from emma.errors import EmmaError
from emma.robots.spec import RobotSpec

Make = Callable


def test_a_bag_in_numbers(tmp_path: Path, spec: RobotSpec, make_scene: Make) -> None:
    scene = make_scene(spec).without(lambda topic, t: topic == "/top/image" and 0.5 < t < 0.65)
    info = bag_info(scene.record(tmp_path / "bags"))
    assert info.finished
    assert info.meta is not None
    assert info.duration_s == pytest.approx(2.0, abs=0.03)
    assert info.count == len(scene.messages)
    topics = {topic.name: topic for topic in info.topics}
    assert topics["/joint_states"].count == 101
    assert topics["/joint_states"].rate_hz == pytest.approx(50)
    assert topics["/joint_states"].delay_s == pytest.approx(0.0005)
    top = topics["/top/image"]
    assert (top.rate_hz, top.gaps, top.longest_s) == (pytest.approx(25), 1, pytest.approx(0.2))
    assert topics["/wrist/image"].gaps == 0
    assert top.bytes == sum(len(data) for _, topic, _, data in scene.messages if topic == "/top/image")
    assert info.skew_s == (pytest.approx(0.001), pytest.approx(0.16, abs=0.021))
    assert topics["/top/info"].count == 0


def test_stamps_that_go_back_are_counted(tmp_path: Path, spec: RobotSpec, make_scene: Make) -> None:
    scene = make_scene(spec, seconds=1.0)
    state = [m for m in scene.messages if m[1] == "/joint_states"]
    scene.messages = [state[1], state[0], *state[2:]]
    [topic] = [t for t in bag_info(scene.record(tmp_path / "bags")).topics if t.name == "/joint_states"]
    assert topic.backwards == 1


def test_a_foreign_and_an_unfinished_bag(tmp_path: Path, spec: RobotSpec, make_scene: Make) -> None:
    bag = make_scene(spec, seconds=0.5).record(tmp_path / "bags")
    (bag / "episode.yaml").unlink()
    (bag / "metadata.yaml").unlink()
    file = bag / f"{bag.name}_0.mcap"
    file.write_bytes(file.read_bytes()[:-3000])
    info = bag_info(bag)
    assert (info.meta, info.finished) == (None, False)
    assert info.count > 100
    assert bag_info(file).count == info.count


def test_an_empty_bag_has_no_numbers_to_fail_on(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        bag.add_topic("/a", "sensor_msgs/msg/Image")
    info = bag_info(tmp_path / "bag")
    assert (info.count, info.duration_s, info.skew_s) == (0, 0.0, (0.0, 0.0))
    assert info.topics[0].rate_hz == 0.0


def test_lists_tell_every_kind_of_folder(tmp_path: Path, spec: RobotSpec, make_scene: Make) -> None:
    make_scene(spec, seconds=0.1).record(tmp_path / "bags", id="a")
    make_scene(spec, seconds=0.1).record(tmp_path / "bags/monday", id="b")
    (tmp_path / "bags/a/episode.yaml").write_text("kind: [")
    (tmp_path / "bags/monday/b/episode.yaml").unlink()
    EpisodeMeta(id="c", robot="arm").save(tmp_path / "bags/c")
    entries = list_episodes(tmp_path / "bags")
    assert [entry.path.name for entry in entries] == ["a", "c", "b"]
    assert "not valid YAML" in entries[0].problem
    assert entries[1].meta is not None
    assert entries[2].meta is None
    with pytest.raises(EmmaError, match="no folder"):
        list_episodes(tmp_path / "nowhere")


def test_rates_of_a_robot(spec: RobotSpec) -> None:
    rates = topic_rates(spec)
    assert rates["/joint_states"] == 50
    assert rates["/top/depth"] == 25
    assert rates.keys() == spec.topics().keys()


def test_pictures_show_joints_and_cameras(tmp_path: Path, spec: RobotSpec, make_scene: Make) -> None:
    folder = make_scene(spec).record(tmp_path / "bags")
    with Bag(folder) as bag:
        plot_joints(bag, tmp_path / "joints.png")
        contact_sheet(bag, tmp_path / "cameras.png", columns=5)
    joints = cv2.imread(str(tmp_path / "joints.png"))
    assert joints.shape[0] > 300
    # Both curves are drawn: matplotlib's first two colours are in the picture.
    for bgr in ((180, 119, 31), (14, 127, 255)):
        assert (np.abs(joints.astype(int) - bgr).max(axis=-1) < 8).sum() > 100
    sheet = cv2.imread(str(tmp_path / "cameras.png"))
    assert sheet.shape == (4 * (18 + 144), 5 * 194, 3)
    # The first tile of the first row is the first image of its camera, enlarged.
    first = sheet[18:162, :192]
    assert first.std() > 20
    assert not np.array_equal(first, sheet[18:162, 194:386])


def test_commands_without_names_are_drawn_where_the_robot_is_known(
    tmp_path: Path, spec: RobotSpec, make_scene: Make
) -> None:
    """forward_position: a Float64MultiArray in the order of the robot's joints."""
    types = typestore().types
    layout = types["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)

    def numbers(stamp: int) -> bytes:
        values = np.array([0.3, 0.6, -0.9]) * np.sin(stamp / 1e8)
        message = types["std_msgs/msg/Float64MultiArray"](layout=layout, data=values)
        return bytes(typestore().serialize_cdr(message, message.__msgtype__))

    scene = make_scene(spec, seconds=0.5)
    scene.messages = [(t, topic, s, numbers(s) if topic == "/command" else d) for t, topic, s, d in scene.messages]
    robot = scene.spec = replace(spec, command=replace(spec.command, kind="forward_position"))
    orange = []
    with Bag(scene.record(tmp_path / "bags")) as bag:
        for known in (None, robot):
            plot_joints(bag, tmp_path / "joints.png", known)
            picture = cv2.imread(str(tmp_path / "joints.png")).astype(int)
            orange.append((picture[..., 2] - picture[..., 0] > 80).sum())
    assert orange[0] == 0
    assert orange[1] > 100


def test_pictures_of_a_bag_without_any_are_refused(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        writer.add_topic("/a", "std_msgs/msg/String")
    with Bag(tmp_path / "bag") as bag:
        with pytest.raises(EmmaError, match="no joints to draw"):
            plot_joints(bag, tmp_path / "x.png")
        with pytest.raises(EmmaError, match="has no images"):
            contact_sheet(bag, tmp_path / "x.png")
        with pytest.raises(EmmaError, match="bad value for columns"):
            contact_sheet(bag, tmp_path / "x.png", columns=0)
