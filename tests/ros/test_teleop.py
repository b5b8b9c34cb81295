"""A person at a live graph: a leader arm, a keyboard on a pseudo-terminal, and a hand that takes over from a policy."""

import math
import os
import pty
import re
import select
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from emma.bags.episode import EpisodeMeta
from emma.bags.reader import Bag
from emma.control.policy_state import POLICY_STATE
from emma.conversion.config import ConvertConfig
from emma.conversion.convert import convert
from emma.datasets.marks import intervention_frames
from emma.errors import EmmaError
from emma.messages import decode_command
from emma.recording.recorder_state import RECORDER_STATE
from emma.ros import qos
from emma.ros.messages import command, joint_state
from emma.sessions.graph import NodeProcess
from emma.sessions.key_console import KeyConsole, KeysConfig
from emma.sessions.session import Trial
from emma.teleop.teleop_state import TELEOP_STATE

PATIENCE_S = 60.0
CAMERAS = ["top", "wrist"]
SIM = NodeProcess(module="sim", parameters={"cameras": CAMERAS, "depth": False})


class Hand:
    """A person who follows a script: yields a key, or None while there is nothing to press."""

    def __init__(self) -> None:
        self.deflection = [0.0] * 5
        self.script = iter(())
        self._until = math.inf

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def read(self, timeout_s):
        time.sleep(timeout_s)
        self._until = min(self._until, time.monotonic() + PATIENCE_S)
        assert time.monotonic() < self._until, f"the script waits at {self.script.gi_frame.f_lineno}"
        key = next(self.script, "q")
        if key:
            # It goes on: what it waits for next has all its time.
            self._until = math.inf
        return [key] if key else []

    def axes(self):
        return self.deflection


def positions(spec, messages):
    return np.array([decode_command(message, spec) for message in messages], dtype=np.float64)


def handovers(meta):
    """The marks of who had the robot; the recorder also marks what a busy machine does to the streams."""
    return [mark for mark in meta.marks if mark.label in ("intervention", "policy")]


def skipped(spec):
    """The topics of a robot that the simulator does not publish in these tests."""
    left = [c for c in spec.cameras if c.name not in CAMERAS]
    return [t for c in left for t in (c.image_topic, c.info_topic)] + [c.depth_topic for c in spec.cameras]


def test_a_leader_arm_is_approached_followed_and_missed(running_graph, spec, tmp_path, listen, eventually, take):
    mapping = tmp_path / "map.yaml"
    mapping.write_text("j1: {leader: base, scale: -1.0, offset: 0.1}\n")
    teleop = {"device": "leader", "leader_map": str(mapping)}
    with running_graph(SIM, NodeProcess(module="teleop", parameters=teleop), logs=tmp_path) as (_, client):
        client.listen(TELEOP_STATE)
        commands = listen(client, JointTrajectory, spec.command.topic, qos.COMMAND)
        states = listen(client, JointState, spec.state_topic, qos.SENSOR_WANT)
        states.wait(1)
        names = ["base", *spec.joint_names[1:]]
        leader = np.array(spec.home)
        leader[0] = -0.2
        leader[3] = 0.3
        wanted = leader.copy()
        wanted[0] = 0.3
        publisher = client.node.create_publisher(JointState, "/leader/joint_states", qos.SENSOR_OFFER)
        timer = client.node.create_timer(0.02, lambda: publisher.publish(joint_state(names, leader, 0)))
        take(client)
        slow = client.wait_for(TELEOP_STATE, lambda s: s.note == "coming to the leader's pose", PATIENCE_S)
        assert slow is not None
        followed = client.wait_for(TELEOP_STATE, lambda s: s.state == "driving" and not s.note, PATIENCE_S)
        assert followed is not None
        eventually(lambda: np.abs(np.array(states.messages[-1].position) - wanted).max() < 0.02, "the leader's pose")
        client.node.destroy_timer(timer)
        assert client.wait_for(TELEOP_STATE, lambda s: "silent" in s.note, PATIENCE_S) is not None
        commands.messages.clear()
        held = positions(spec, commands.wait(10))
        assert np.ptp(held, axis=0).max() < 1e-6
        client.trigger("/teleop/give")
        assert client.wait_for(TELEOP_STATE, lambda s: s.state == "idle", PATIENCE_S) is not None


def test_nobody_takes_the_robot_from_somebody_who_does_not_let_go(
    running_graph, spec, tmp_path, listen, eventually, take
):
    teleop = NodeProcess(module="teleop", parameters={"take_timeout_s": 1.0})
    with running_graph(SIM, teleop, logs=tmp_path) as (_, client):
        client.listen(TELEOP_STATE)
        listen(client, JointState, spec.state_topic, qos.SENSOR_WANT).wait(1)
        seen = listen(client, JointTrajectory, spec.command.topic, qos.COMMAND)
        other = client.node.create_publisher(JointTrajectory, spec.command.topic, qos.COMMAND)
        timer = client.node.create_timer(0.02, lambda: other.publish(command(spec, np.array(spec.home), 1)))
        seen.wait(5)
        eventually(lambda: other.get_subscription_count() >= 3, "sim, teleop and this test hear the other")
        take(client)
        refused = client.wait_for(TELEOP_STATE, lambda s: "another node commands" in s.problem, PATIENCE_S)
        assert refused is not None
        assert refused.state == "idle"
        # What was heard is all from the other one.
        assert {message.header.stamp.nanosec for message in seen.messages} == {1}
        client.node.destroy_timer(timer)
        take(client)
        assert client.wait_for(TELEOP_STATE, lambda s: s.state == "driving", PATIENCE_S) is not None


@pytest.mark.slow
def test_a_person_corrects_a_policy_and_the_dataset_knows_which_frames(
    running_graph, bundle, spec, tmp_path, listen, eventually
):
    recorder = {"root": str(tmp_path / "bags"), "kind": "policy", "policy": str(bundle), "skip": skipped(spec)}
    recorder |= {"extra": ["/policy/state", "/teleop/state"], "check_rates": False}
    graph = (
        SIM,
        NodeProcess(module="recorder", parameters=recorder),
        NodeProcess(module="teleop"),
        # A busy machine may be late; this test is about who commands.
        NodeProcess(module="policy", parameters={"policy": str(bundle), "hold_age_s": 5.0, "warn_age_s": 5.0}),
    )
    with running_graph(*graph, logs=tmp_path / "logs") as (_, client):
        config = KeysConfig(policy=True, trials=(Trial(seed=3, target="bin"),), episodes=1)
        commands = listen(client, JointTrajectory, spec.command.topic, qos.COMMAND)
        person, hand = KeyConsole(client, config), Hand()
        person.wait_until_ready(PATIENCE_S)

        def said(topic, **wanted):
            state = client.heard(topic)
            return state is not None and wanted.items() <= asdict(state).items()

        def more(count):
            """Wait for so many more commands."""
            start = len(commands.messages)
            while len(commands.messages) < start + count:
                yield None

        def script():
            while said(POLICY_STATE, instruction="") or client.heard(POLICY_STATE) is None:
                yield None
            yield "space"
            while not said(RECORDER_STATE, state="recording"):
                yield None
            while not said(POLICY_STATE, mode="running"):
                if said(POLICY_STATE, mode="disabled"):
                    yield "p"
                for _ in range(25):
                    yield None
            yield from more(40)
            yield "t"
            while not said(TELEOP_STATE, state="driving"):
                yield None
            with pytest.raises(EmmaError, match="a person has the robot"):
                client.switch("/policy/enable", True)
            hand.deflection = [0.0, 0.0, 1.0, 0.0, -1.0]
            yield from more(60)
            hand.deflection = [0.0] * 5
            yield "t"
            while not said(POLICY_STATE, mode="running", intervention=False):
                yield None
            yield from more(40)
            yield "r"
            yield "s"

        hand.script = script()
        person.run(hand)
        assert len(person.saved) == 1, person._message
    [folder] = [Path(name) for name in person.saved]
    meta = EpisodeMeta.load(folder)
    assert (meta.kind, meta.success, meta.state) == ("intervention", True, "saved")
    assert [mark.label for mark in handovers(meta)] == ["intervention", "policy"]
    _check_bag(folder, spec)
    _check_dataset(folder, spec, tmp_path / "data", meta)


def _check_bag(folder, spec):
    """One commander at a time, and no jump from one to the other."""
    with Bag(folder) as bag:
        log = [(m.log_ns, m.topic, m.message) for m in bag.messages()]
    switches = [(at, message.data) for at, topic, message in log if topic == "/intervention"]
    assert [value for _, value in switches] == [False, True, False]
    sent = [(at, message) for at, topic, message in log if topic == spec.command.topic]
    path = positions(spec, [message for _, message in sent])
    limit = np.array([joint.velocity for joint in spec.joints]) / spec.control_rate_hz
    assert (np.abs(np.diff(path, axis=0)) <= limit + 1e-6).all()
    taken, given = switches[1][0], switches[2][0]
    person = [i for i, (at, _) in enumerate(sent) if taken < at < given]
    # The gripper closed: the person's doing.
    assert path[person[-1]][6] < 1e-3
    # Two commanders at 50 Hz would make twice as many commands.
    assert len(person) <= (given - taken) / 1e9 * spec.control_rate_hz + 3
    policy = [(at, POLICY_STATE.read(m.data)) for at, topic, m in log if topic == POLICY_STATE.name]
    person_states = [(at, TELEOP_STATE.read(m.data)) for at, topic, m in log if topic == TELEOP_STATE.name]
    let_go = next(at for at, said in policy if said.mode == "disabled" and said.intervention and said.resumes)
    assert let_go < next(at for at, said in person_states if said.state == "driving")


def _check_dataset(folder, spec, out, meta):
    config = ConvertConfig(cameras=tuple(CAMERAS), depth=False, keep_stale=True)
    report = convert(folder.parent, out, spec, config)
    assert report.count("converted") == 1, report
    marked = intervention_frames(out)
    assert marked.shape == (report.frames,)
    changes = np.flatnonzero(np.diff(marked.astype(int)))
    assert len(changes) == 2
    assert not marked[0]
    assert not marked[-1]
    start, end = (mark.time_ns for mark in handovers(meta))
    assert marked.sum() == pytest.approx((end - start) / 1e9 * spec.fps, abs=1.01)


@pytest.mark.slow
def test_record_with_the_keyboard_from_a_real_terminal(tmp_path):
    person, program = pty.openpty()
    verb = [sys.executable, "-m", "emma", "record", "--operator", "keyboard", "--episodes", "1"]
    child = subprocess.Popen(
        [*verb, "--out", str(tmp_path / "bags")],
        stdin=program,
        stdout=subprocess.PIPE,
        stderr=program,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "200", "LINES": "50"},
        text=True,
    )
    os.close(program)
    screen = Screen(person, child)
    try:
        screen.wait("driving")
        screen.press(" ")
        screen.wait("recording 2")
        for _ in range(20):
            screen.press("\x1b[A")
        # The person has driven for a while.
        screen.wait(r"recording 2\S+ [1-9]\S* s")
        screen.press("r")
        screen.wait("marked as success")
        screen.press("s")
        assert child.wait(PATIENCE_S) == 0
        assert child.stdout is not None
        assert "1 episodes saved" in child.stdout.read()
    finally:
        child.kill()
        child.wait()
        os.close(person)
    [folder] = [path.parent for path in (tmp_path / "bags").glob("*/episode.yaml")]
    meta = EpisodeMeta.load(folder)
    assert (meta.state, meta.kind, meta.success, meta.operator) == ("saved", "teleop", True, "keyboard")
    assert not handovers(meta)
    assert meta.instruction
    assert meta.topics["/arm_controller/joint_trajectory"].count > 0


class Screen:
    """The person's side of a terminal."""

    def __init__(self, fd: int, child: subprocess.Popen) -> None:
        self._fd, self._child, self._seen = fd, child, ""

    def press(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def wait(self, pattern: str) -> None:
        """Read until something like `pattern` has been on the screen."""
        deadline = time.monotonic() + PATIENCE_S
        while re.search(pattern, self._seen) is None:
            assert time.monotonic() < deadline, f"no {pattern!r} in:\n{self._seen[-3000:]}"
            assert self._child.poll() is None, self._seen[-3000:]
            if select.select([self._fd], [], [], 0.5)[0]:
                self._seen += os.read(self._fd, 65536).decode(errors="replace")
