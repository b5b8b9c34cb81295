"""The recorder node under traffic: nothing lost, kill -9, two recorders in one folder, bad streams noticed."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import Reader
from sensor_msgs.msg import JointState

from emma.bags.episode import EpisodeMeta
from emma.bench.load import Load, read_stamped, tally_bag
from emma.ros import messages, qos
from emma.ros.load.kills import Kill, kills
from emma.ros.load.rig import Rig

pytestmark = pytest.mark.ros

# Of the load's 138 MB/s: what a machine with other work takes without a thought.
GENTLE = 0.1


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "rig", Load().scaled(GENTLE)) as rig:
        yield rig


def check(killed: list[Kill]) -> None:
    for kill in killed:
        assert kill.repaired, kill
        assert kill.untouched, kill
        assert kill.gaps == 0, kill
        assert kill.messages > 0, kill


def test_every_message_is_in_the_bag(rig: Rig, tmp_path: Path) -> None:
    with rig.recorder(tmp_path / "bags") as recorder:
        folder = recorder.start()
        sent = rig.play(GENTLE, 2.0)
        said = recorder.save()
    assert (said.dropped, said.lost) == (0, 0)
    assert tally_bag(folder).missing(sent.sent) == 0
    # The same by a reader that is not ours, in order, stamps included.
    numbers: dict[str, list[int]] = {topic: [] for topic in sent.sent}
    with Reader(folder) as reader:
        for connection, _, data in reader.messages():
            if connection.topic in numbers:
                numbers[connection.topic].append(read_stamped(data).number)
    assert numbers == {topic: list(range(count)) for topic, count in sent.sent.items()}


@pytest.mark.slow
def test_killed_under_load(rig: Rig, tmp_path: Path) -> None:
    check(kills(rig, tmp_path, 3, GENTLE, seed=0, done=lambda _: None))


@pytest.mark.slow
def test_killed_fifty_times_under_full_load(rig: Rig, tmp_path: Path) -> None:
    killed = kills(rig, tmp_path, 50, 1.0, seed=1, done=lambda _: None)
    check(killed)
    assert all(kill.recovered for kill in killed)


def test_two_recorders_in_one_folder(rig: Rig, tmp_path: Path) -> None:
    bags = tmp_path / "bags"
    with rig.recorder(bags) as first:
        one = first.start()
        # The second one starts while the first one's episode is unfinished, and must not mend it.
        with rig.recorder(bags) as second:
            two = second.start()
            assert EpisodeMeta.load(one).state == EpisodeMeta.load(two).state == "recording"
            sent = rig.play(GENTLE, 1.0)
            second.save()
        first.save()
    for folder in (one, two):
        assert EpisodeMeta.load(folder).state == "saved"
        assert tally_bag(folder).missing(sent.sent) == 0


@pytest.mark.slow
def test_stamps_that_go_back_are_said_and_kept(rig: Rig, tmp_path: Path) -> None:
    publisher = rig.client.node.create_publisher(JointState, rig.spec.state_topic, qos.SENSOR_OFFER)
    with rig.recorder(tmp_path / "bags") as recorder:
        folder = recorder.start()
        runs = rig.start(GENTLE, 60.0)
        recorder.wait_for_all_topics()
        while publisher.get_subscription_count() == 0:
            time.sleep(0.02)
        publisher.publish(messages.joint_state(rig.spec.joint_names, np.zeros(len(rig.spec.joints)), 1_000_000_000))
        said = recorder.wait_for(lambda s: any("went back" in problem for problem in s.problems))
        rig.stop()
        rig.wait(runs, 60.0)
        recorder.save()
    assert "went back" in said.text
    labels = [mark.label for mark in EpisodeMeta.load(folder).marks]
    assert any(label.startswith("/load/joint_states: stamps went back by ") for label in labels), labels
