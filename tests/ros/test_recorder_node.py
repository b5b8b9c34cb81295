"""The recorder node takes what any publisher offers, refuses what cannot become an episode, and survives its end."""

import os
import signal
import threading
from pathlib import Path

import pytest
import yaml
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import String

from emma.bags.episode import EpisodeMeta
from emma.bags.reader import Bag
from emma.errors import EmmaError
from emma.recording.recorder_state import RECORDER_STATE, EpisodeBegun, EpisodeEnded
from emma.ros.messages import header
from emma.sessions.graph import NodeProcess
from emma.sessions.session import require_recorder_hears

BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture(scope="module")
def robot(tmp_path_factory, spec) -> Path:
    """A robot with one camera and no depth."""
    folder = tmp_path_factory.mktemp("robot")
    raw = yaml.safe_load((spec.folder / "robot.yaml").read_text())
    raw["cameras"] = [{k: v for k, v in raw["cameras"][0].items() if k != "depth_topic"}]
    (folder / "robot.yaml").write_text(yaml.safe_dump(raw))
    return folder


class Drivers:
    """A small robot's topics from this process: numbered joint states, best-effort pictures, one topic more."""

    def __init__(self, client, spec) -> None:
        node = client.node
        camera = spec.cameras[0]
        self._joints = node.create_publisher(JointState, spec.state_topic, RELIABLE)
        self._image = node.create_publisher(Image, camera.image_topic, BEST_EFFORT)
        self._info = node.create_publisher(CameraInfo, camera.info_topic, BEST_EFFORT)
        self._extra = node.create_publisher(String, "/notes/left", LATCHED)
        self._extra.publish(String(data="said long ago"))
        self._timer = node.create_timer(0.01, self._tick)
        self.sent = 0

    def _tick(self) -> None:
        self.sent += 1
        self._joints.publish(JointState(header=header(self.sent), name=["n"], position=[float(self.sent)]))
        if self.sent % 4 == 0:
            self._image.publish(
                Image(header=header(self.sent), height=1, width=1, step=3, encoding="rgb8", data=b"abc")
            )
            self._info.publish(CameraInfo(header=header(self.sent)))


def recorder(robot, root):
    parameters = {"robot": str(robot), "root": str(root), "extra": ["/notes/*"], "check_rates": False}
    return NodeProcess(module="recorder", parameters=parameters)


def start(client):
    return client.ask("/recorder/start", EpisodeBegun)


def numbers(folder):
    with Bag(folder) as bag:
        topic = next(t for t in bag.topics.values() if t.name == "/joint_states")
        return [
            int(deserialize_message(bytes(bag.raw(int(i))), JointState).position[0]) for i in bag.index.of(topic.number)
        ]


@pytest.fixture
def live(running_graph, robot, spec, tmp_path):
    with running_graph(recorder(robot, tmp_path / "bags"), logs=tmp_path / "logs") as (graph, client):
        client.listen(RECORDER_STATE)
        client.wait_for_service("/recorder/start", 60.0)
        with pytest.raises(EmmaError, match="refused") as refusal:
            start(client)
        assert "no publisher of /joint_states, /camera/top" in str(refusal.value)
        with pytest.raises(EmmaError, match="nothing on /joint_states"):
            require_recorder_hears(client, 1.0)
        drivers = Drivers(client, spec)
        yield graph, client, drivers


def test_an_episode_holds_every_topic_whatever_its_qos(live, eventually):
    graph, client, drivers = live
    eventually(lambda: client.node.count_subscribers("/camera/top/color/image_raw"), "a matching subscription")
    eventually(lambda: client.node.count_subscribers("/notes/left"), "a topic found by pattern")
    require_recorder_hears(client, 30.0)
    client.say("/instruction", "put the cube in the bin")
    client.wait_for(RECORDER_STATE, lambda s: s.instruction, 30.0)
    before = drivers.sent
    folder = start(client).folder
    with pytest.raises(EmmaError, match="refused"):
        start(client)
    sent = drivers.sent
    eventually(lambda: drivers.sent > sent + 100, "a hundred messages")
    client.switch("/recorder/mark_success", True)
    kept = client.ask("/recorder/save", EpisodeEnded)
    assert (kept.dropped, kept.lost) == (0, 0)
    meta = EpisodeMeta.load(folder)
    assert (meta.state, meta.success, meta.instruction) == ("saved", True, "put the cube in the bin")
    assert meta.topics["/notes/left"].count == 1
    assert meta.topics["/camera/top/color/image_raw"].count > 10
    found = numbers(folder)
    assert len(found) >= 100
    # Every one of them, in order, and none from before the start.
    assert found == list(range(found[0], found[0] + len(found)))
    assert found[0] > before - 20
    with pytest.raises(EmmaError, match="no episode is being recorded"):
        client.trigger("/recorder/save")
    start(client)
    assert EpisodeMeta.load(client.ask("/recorder/discard", EpisodeEnded).folder).state == "discarded"
    assert graph.stop() == {"recorder": 0}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_what_is_running(live, eventually, number):
    graph, client, drivers = live
    eventually(lambda: client.node.count_subscribers("/camera/top/color/image_raw"), "a matching subscription")
    folder = start(client).folder
    sent = drivers.sent
    eventually(lambda: drivers.sent > sent + 50, "fifty messages")
    os.kill(graph.pids["recorder"], number)
    assert graph.stop() == {"recorder": 0}
    meta = EpisodeMeta.load(folder)
    assert meta.state == "saved"
    assert "closed while recording" in " ".join(meta.problems)
    assert len(numbers(folder)) >= 30
    assert "Traceback" not in graph.log("recorder").read_text()


def test_what_a_killed_recorder_leaves_the_next_one_mends(live, eventually, running_graph, robot, tmp_path):
    graph, client, drivers = live
    eventually(lambda: client.node.count_subscribers("/camera/top/color/image_raw"), "a matching subscription")
    folder = start(client).folder
    sent = drivers.sent
    # The open chunk is handed to the kernel at least once a second.
    eventually(lambda: drivers.sent > sent + 250, "two and a half seconds of messages")
    os.kill(graph.pids["recorder"], signal.SIGKILL)
    threading.Event().wait(0.2)
    assert EpisodeMeta.load(folder).state == "recording"
    with running_graph(recorder(robot, tmp_path / "bags"), logs=tmp_path / "again") as (_, other):
        other.wait_for_service("/recorder/start", 60.0)
    assert EpisodeMeta.load(folder).state == "recovered"
    found = numbers(folder)
    assert len(found) >= 100
    assert found == list(range(found[0], found[0] + len(found)))
