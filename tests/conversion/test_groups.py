"""A bag of two arms on two topics of states and two of commands, in other units: one vector a frame."""

from pathlib import Path

import numpy as np
import pytest
from bag_fixtures import START_NS, command_message, image_message, state_message
from two_arms import LEFT, RIGHT, two_arms

from emma.bags.episode import EpisodeMeta
from emma.bags.message_definitions import typestore
from emma.bags.reader import Bag
from emma.conversion.frames import EpisodeFrames
from emma.errors import EmmaError
from emma.observation import Aligner
from emma.recording.recorder import EpisodeRecorder
from emma.robots.joint_messages import encode_command

MS = 1_000_000
# How far the commands lie ahead of the states.
LEFT_AHEAD, RIGHT_AHEAD = np.array([0.5, 0.0]), np.array([0.25, 0.001])
NUMBERS = "std_msgs/msg/Float64MultiArray"


def position(i: int) -> np.ndarray:
    """(J,) at 50 Hz: the joint without end turns twice."""
    return np.array([i / 100, i / 8, -i / 100, 0.02 + i / 1e4])


def numbers(values: np.ndarray) -> bytes:
    types = typestore().types
    layout = types["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
    return bytes(typestore().serialize_cdr(types[NUMBERS](layout=layout, data=values), NUMBERS))


def record(root: Path, right_command: bool = True) -> Path:
    spec, recorder = two_arms(), EpisodeRecorder(root)
    folder = recorder.start(EpisodeMeta.new("two_arms", instruction="move"), spec.topics())
    for i in range(101):
        stamp, q = START_NS + i * 20 * MS, position(i)
        wrapped = (q[1] + np.pi) % (2 * np.pi) - np.pi
        sent = [
            ("/left/joint_states", state_message(stamp, ["turn", "swing"], np.array([wrapped, q[0]]))),
            ("/right/joint_states", state_message(stamp, ["swing", "claw"], np.array([np.rad2deg(q[2]), q[3] * 2000]))),
            (LEFT.topic, command_message(stamp, ["swing", "turn"], q[:2] + LEFT_AHEAD)),
        ]
        if right_command:
            sent.append((RIGHT.topic, numbers(encode_command(q + np.concatenate([[0, 0], RIGHT_AHEAD]), spec, RIGHT))))
        if i % 5 == 0:
            sent.append(("/top", image_message(stamp, np.full((12, 16, 3), i, np.uint8))))
        for n, (topic, data) in enumerate(sent):
            header = 0 if topic == RIGHT.topic else stamp
            assert recorder.offer(topic, data, stamp + (n + 1) * 100_000, header)
    recorder.save()
    return folder


def test_frames_hold_both_arms_in_the_specs_order_and_units(tmp_path: Path) -> None:
    with Bag(record(tmp_path)) as bag:
        frames = EpisodeFrames(bag, two_arms())
        made = list(frames)
    assert len(made) > 15
    for time_ns, (observation, action) in zip(frames.timeline.times_ns, made, strict=True):
        i = (time_ns - START_NS) // (20 * MS)
        np.testing.assert_allclose(observation.state, position(i), rtol=1e-5)
        np.testing.assert_allclose(action, position(i) + np.concatenate([LEFT_AHEAD, RIGHT_AHEAD]), rtol=1e-4)


def test_an_arm_that_was_never_commanded_is_refused(tmp_path: Path) -> None:
    with Bag(record(tmp_path, right_command=False)) as bag, pytest.raises(EmmaError, match="command:right"):
        EpisodeFrames(bag, two_arms())


def states(names: list[str], positions: list[float], stamp: int):  # type: ignore[no-untyped-def]
    data = state_message(stamp, names, np.array(positions))
    return typestore().deserialize_cdr(data, "sensor_msgs/msg/JointState")


def test_the_state_is_as_old_as_the_arm_that_fell_silent() -> None:
    aligner = Aligner(two_arms(), cameras=())
    for i in range(20):
        stamp = START_NS + i * 20 * MS
        aligner.push("/left/joint_states", states(["swing", "turn"], [0.1, 0.2], stamp), stamp)
        if i < 10:
            aligner.push("/right/joint_states", states(["swing", "claw"], [90.0, 50.0], stamp), stamp)
    now = START_NS + 19 * 20 * MS
    ages = aligner.ages_s(now)
    assert ages["state"] == pytest.approx(0.2)
    assert ages["state:/right/joint_states"] == pytest.approx(0.2)
    measured = aligner.measured()
    assert measured is not None
    np.testing.assert_allclose(measured[0], [0.1, 0.2, np.pi / 2, 0.025], rtol=1e-6)
    assert measured[1] == START_NS + 9 * 20 * MS


def test_nothing_is_measured_before_every_arm_was_heard() -> None:
    aligner = Aligner(two_arms(), cameras=())
    aligner.push("/left/joint_states", states(["swing", "turn"], [0.1, 0.2], START_NS), START_NS)
    assert aligner.measured() is None
    assert aligner.state_at(START_NS) is None
    assert aligner.newest_ns() is None
