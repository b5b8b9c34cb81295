"""A replayed bag is the recorded one: same bytes, same order, in the verb's own process and domain."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from emma.bags.writer import BagWriter
from emma.errors import EmmaError
from emma.ros import qos
from emma.ros.client import RosClient
from emma.ros.domain import own_domain
from emma.ros.messages import header
from emma.ros.replay import Replayer

START_NS, STEP_NS = 1_700_000_000_000_000_000, 5_000_000
TYPES = {"/joints": "sensor_msgs/msg/JointState", "/words": "std_msgs/msg/String", "/task": "std_msgs/msg/String"}
KINDS = {"/joints": JointState, "/words": String, "/task": String}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> tuple[Path, list[tuple[str, bytes]]]:
    """A bag of three topics, one latched and one of a type that is not installed; and its messages in order."""
    folder = tmp_path_factory.mktemp("bag") / "episode"
    folder.mkdir()
    messages = [("/task", serialize_message(String(data="put the cube in the bin")))]
    for i in range(120):
        joints = JointState(header=header(i), name=["a", "b"], position=[i * 0.5, -1.0])
        messages.append(("/joints", serialize_message(joints)))
        if i % 7 == 0:
            messages.append(("/words", serialize_message(String(data="é" * i))))
    # As they come off the wire: DDS pads a payload to whole words.
    messages = [(topic, data + bytes(-len(data) % 4)) for topic, data in messages]
    writer = BagWriter(folder)
    latched = [qos.for_bag(qos.LATCHED)]
    for topic, kind in TYPES.items():
        writer.add_topic(topic, kind, latched if topic == "/task" else [])
    for i, (topic, data) in enumerate(messages):
        writer.write(topic, START_NS + i * STEP_NS, START_NS + i * STEP_NS, data)
    writer.close()
    return folder, messages


class Listener:
    """Takes raw messages and remembers when each was sent, by the sender's clock."""

    def __init__(self, client: RosClient) -> None:
        self.taken: list[tuple[int, str, bytes]] = []
        deep = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
        for topic, kind in KINDS.items():
            profile = qos.LATCHED if topic == "/task" else deep

            def take(data: bytes, info: dict, topic: str = topic) -> None:
                self.taken.append((info["source_timestamp"], topic, data))

            client.node.create_subscription(kind, topic, _with_info(take), profile, raw=True)

    def in_order(self) -> list[tuple[str, bytes]]:
        return [(topic, data) for _, topic, data in sorted(self.taken, key=lambda one: one[0])]


def _with_info(take):
    """rclpy passes the message's info to callbacks of exactly two parameters."""

    def callback(data, info):
        take(data, info)

    return callback


def test_the_verb_replays_what_was_recorded(recorded, eventually):
    folder, messages = recorded
    with own_domain() as domain, RosClient("listener") as client:
        listener = Listener(client)
        verb = [sys.executable, "-m", "emma", "episodes", "replay", str(folder), "--wait", "--rate", "2"]
        done = subprocess.run(
            [*verb, "--domain-id", str(domain)], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        assert f"ROS_DOMAIN_ID={domain}" in done.stdout
        eventually(lambda: len(listener.taken) >= len(messages), "all messages")
    assert listener.in_order() == messages
    for topic in TYPES:
        # Each topic arrives in its order too, without sorting.
        assert [d for _, t, d in listener.taken if t == topic] == [d for t, d in messages if t == topic]
    sent = [stamp for stamp, _, _ in sorted(listener.taken)]
    # Never ahead of the recording: 5 ms apart, twice as fast; a slow machine may only be late.
    assert sent[-1] - sent[0] >= (len(messages) - 1) * STEP_NS / 2 - STEP_NS


def test_some_topics_more_than_once_and_an_early_end(recorded, eventually):
    from emma.bags.reader import Bag

    folder, messages = recorded
    words = [one for one in messages if one[0] == "/words"]
    with own_domain(), Bag(folder) as bag, RosClient("listener") as client, RosClient("replay") as player:
        listener = Listener(client)
        replayer = Replayer(player.node, bag, ["/words"])
        eventually(replayer.heard, "a subscriber")
        counted: list[int] = []
        for _ in range(2):
            report = replayer.play(50.0, progress=counted.append)
            assert report.messages == len(words) == len(replayer)
        eventually(lambda: len(listener.taken) >= 2 * len(words), "all messages twice")
        assert listener.in_order() == words + words
        assert sum(counted) == 2 * len(words)
        alive = threading.Event()
        alive.set()
        early = replayer.play(1e-3, alive=alive.is_set, progress=lambda _: alive.clear())
        assert early.messages == 1
        with pytest.raises(EmmaError, match="rate"):
            replayer.play(0.0)


def test_what_cannot_be_replayed_is_said(recorded, context):
    import rclpy

    from emma.bags.reader import Bag

    folder, _ = recorded
    node = rclpy.create_node("replay", context=context)
    with Bag(folder) as bag, pytest.raises(EmmaError, match="/nothing"):
        Replayer(node, bag, ["/nothing"])
    node.destroy_node()


def test_topics_of_packages_that_are_not_installed_are_left_out(tmp_path, recorded, context):
    import rclpy
    from rosbags.rosbag2 import StoragePlugin, Writer

    from emma.bags.reader import Bag

    _, messages = recorded
    foreign = tmp_path / "foreign"
    with Writer(foreign, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        odd = writer.add_connection("/odd", "far_msgs/msg/Odd", msgdef="int32 x\n", rihs01="RIHS01_" + "0" * 64)
        words = writer.add_connection("/words", TYPES["/words"], msgdef="string data\n", rihs01="RIHS01_" + "0" * 64)
        writer.write(odd, START_NS, b"\x00\x01\x00\x00\x05\x00\x00\x00")
        writer.write(words, START_NS + 1, messages[0][1])
    node = rclpy.create_node("replay", context=context)
    with Bag(foreign) as bag:
        replayer = Replayer(node, bag)
        assert replayer.skipped == ["/odd"]
        assert replayer.play().messages == 1
        with pytest.raises(EmmaError, match="nothing to replay"):
            Replayer(node, bag, ["/odd"])
    node.destroy_node()
