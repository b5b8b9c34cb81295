"""The tutorial "Your own robot", walked with a driver of another make: from nothing to a policy that moves the arm."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import stranger_arm
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

import emma as emma_package
from emma.bags.files import find_bags
from emma.bags.reader import Bag
from emma.cli import main
from emma.control.policy_state import POLICY_STATE
from emma.conversion.frames import EpisodeFrames
from emma.recording.recorder_state import EpisodeEnded
from emma.robots.spec import RobotSpec, load_robot
from emma.ros import messages, qos
from emma.ros.client import RosClient
from emma.ros.domain import own_domain
from emma.sessions.graph import Graph, NodeProcess

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorials" / "your-own-robot.md"
# Ends a walk that would never end; nothing here depends on how fast the machine is.
PATIENCE_S = 120.0


@contextmanager
def driver(state_hz: float, image_hz: float) -> Iterator[None]:
    """The stranger's driver in a process of its own."""
    rates = ["--state-hz", str(state_hz), "--image-hz", str(image_hz)]
    profile = {"FASTDDS_DEFAULT_PROFILES_FILE": str(Path(emma_package.__file__).parent / "ros" / "fastdds.xml")}
    child = subprocess.Popen([sys.executable, stranger_arm.__file__, *rates], env=os.environ | profile)
    try:
        yield
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:  # rclpy's own handler waits for the middleware, which a busy machine starves
            child.kill()
            child.wait(15)


def emma(*words: object) -> int:
    return main([str(word) for word in words])


def made_by_hand(folder: Path) -> RobotSpec:
    """What step 2 of the tutorial asks of a person: the questions answered, their lines deleted."""
    file = folder / "robot.yaml"
    lines = [line for line in file.read_text().splitlines() if "QUESTION" not in line]
    home = "home: [0.0, 0.4, 0.0, 0.8, 0.0, 0.0, 0.0, 0.04]"
    file.write_text("\n".join(home if line == "home: []" else line for line in lines) + "\n")
    return load_robot(folder)


class Hand:
    """Whoever moves the arm in a demonstration: joint 1 swings from where it is to 0.6 rad."""

    def __init__(self, client: RosClient, spec: RobotSpec) -> None:
        self._spec, self._node = spec, client.node
        self._commands = client.node.create_publisher(JointTrajectory, spec.command.topic, qos.COMMAND)
        self.states: list[JointState] = []
        client.node.create_subscription(JointState, spec.state_topic, self._on_state, qos_profile_sensor_data)

    def _on_state(self, message: JointState) -> None:
        self.states = [*self.states[-1:], message]

    @property
    def first_joint(self) -> float:
        message = self.states[-1]
        return float(message.position[list(message.name).index(stranger_arm.ARM[0])])

    def send(self, first: float) -> None:
        target = np.array(self._spec.home)
        target[0] = first
        self._commands.publish(messages.command(self._spec, target, self._node.get_clock().now().nanoseconds))

    def demonstrate(self, seconds: float) -> None:
        ending = threading.Event()
        for share in np.linspace(0.0, 1.0, int(seconds * 50)):
            self.send(0.6 * share)
            ending.wait(0.02)

    def go_back(self) -> None:
        self.send(0.0)
        until(lambda: abs(self.first_joint) < 0.02, "the arm at its beginning")


def until(condition, what: str):  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"never: {what}")


def heard_everything(folder: Path) -> bool:
    """`robots new` as the tutorial prints it; again, where a busy machine had not found all topics in time."""
    if folder.exists():
        (folder / "robot.yaml").unlink()
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    new = ("robots", "new", folder.name, "--topic", "/robot_description", "--listen", 4, "--out", folder.parent)
    return emma(*new) == 0 and len(load_robot(folder).cameras) == 2


def record(spec: RobotSpec, folder: Path, count: int, seconds: float) -> None:
    """Demonstrations through the recorder node, started and saved by its services."""
    recorder = NodeProcess(module="recorder", parameters={"robot": str(spec.folder), "root": str(folder)})
    with Graph([recorder], folder.parent / "logs") as graph, RosClient("person", alive=graph.check) as client:
        hand = Hand(client, spec)
        client.say("/instruction", "swing to the mark")
        until(lambda: hand.states, "joint states")
        client.wait_for_service("/recorder/start", PATIENCE_S)
        for _ in range(count):
            hand.go_back()
            until(lambda: _started(client), "a recording")
            hand.demonstrate(seconds)
            assert client.ask("/recorder/save", EpisodeEnded).messages


def _started(client: RosClient) -> bool:
    from emma.errors import EmmaError

    try:
        client.trigger("/recorder/start")
    except EmmaError:
        # Its topics are not all discovered yet.
        return False
    return True


def deploy(spec: RobotSpec, bundle: Path, logs: Path) -> float:
    """Enable the policy, and return how far it moved the first joint."""
    node = NodeProcess(module="policy", parameters={"policy": str(bundle), "robot": str(spec.folder)})
    with Graph([node], logs) as graph, RosClient("person", alive=graph.check) as client:
        hand = Hand(client, spec)
        client.listen(POLICY_STATE)
        client.say("/instruction", "swing to the mark")
        until(lambda: hand.states, "joint states")
        hand.go_back()
        ready = client.wait_for(POLICY_STATE, lambda s: s.mode == "disabled" and s.instruction, PATIENCE_S)
        assert ready is not None
        start = hand.first_joint
        client.switch("/policy/enable", True)
        assert client.wait_for(POLICY_STATE, lambda s: s.mode == "running", PATIENCE_S)
        until(lambda: abs(hand.first_joint - start) > 0.05, "an arm that moves")
        client.switch("/policy/enable", False)
        return hand.first_joint - start


def test_the_tutorial_prints_what_is_walked() -> None:
    text = TUTORIAL.read_text()
    for command in (
        "emma robots new my_arm --topic /robot_description --listen",
        "export FASTDDS_DEFAULT_PROFILES_FILE=",
        "emma robots check my_arm",
        "emma node recorder --ros-args -p robot:=my_arm -p root:=bags",
        "emma episodes convert bags --out dataset --robot my_arm",
        "emma train --data dataset --out mine",
        "emma node policy --ros-args -p policy:=mine -p robot:=my_arm",
    ):
        assert command in text


@pytest.mark.ros
def test_a_first_demonstration_holds_what_the_driver_sent(tmp_path: Path) -> None:
    """Steps 2 to 4 at rates that any machine keeps: joints in the order of robot.yaml, pictures of both cameras."""
    with own_domain(), driver(100.0, 10.0):
        until(lambda: heard_everything(tmp_path / "my_arm"), "a robot with both cameras")
        spec = made_by_hand(tmp_path / "my_arm")
        record(spec, tmp_path / "bags", count=1, seconds=2.0)
    (folder,) = find_bags(tmp_path / "bags")
    with Bag(folder) as bag:
        frames = list(EpisodeFrames(bag, spec))
    states = np.array([observation.state for observation, _ in frames])
    actions = np.array([action for _, action in frames])
    np.testing.assert_allclose(states[:, 1:], np.tile(spec.home[1:], (len(states), 1)), atol=1e-3)
    np.testing.assert_allclose(actions[:, 1:], np.tile(spec.home[1:], (len(states), 1)), atol=1e-6)
    assert np.ptp(states[:, 0]) > 0.1
    assert np.ptp(actions[:, 0]) > 0.1
    for observation, _ in frames:
        assert {name: image.shape for name, image in observation.images.items()} == {
            "overview": (480, 640, 3),
            "palm_view": (480, 640, 3),
        }


@pytest.mark.ros
@pytest.mark.slow
def test_from_nothing_to_a_policy_that_moves_the_arm(tmp_path: Path) -> None:
    with own_domain(), driver(1000.0, 30.0):
        until(lambda: heard_everything(tmp_path / "my_arm"), "a robot with both cameras")
        spec = made_by_hand(tmp_path / "my_arm")
        assert emma("robots", "check", spec.folder) in (0, 1)  # 1: a rate that a busy machine does not keep
        record(spec, tmp_path / "bags", count=3, seconds=2.0)
        convert = ("episodes", "convert", tmp_path / "bags", "--out", tmp_path / "dataset", "--robot", spec.folder)
        assert emma(*convert, "--keep-stale", "--workers", 1) == 0
        small = ("conv_channels=[8, 8, 8]", "condition_dim=32", "hidden_dim=64", "num_blocks=1")
        options = [word for each in small for word in ("--set", each)]
        train = (
            "train",
            "--data",
            tmp_path / "dataset",
            "--out",
            tmp_path / "mine",
            "--steps",
            150,
            "--batch-size",
            16,
        )
        assert emma(*train, *options) == 0
        assert deploy(spec, tmp_path / "mine", tmp_path / "logs") > 0
