"""What goes wrong around a running policy, and what the arm is told then.

Each fault is put into a running control loop on a clock of the test's own, one tick at a time, with real messages. The
table in docs/reference/faults-control.md says the same in words.
"""

import itertools
import threading

import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

from emma.errors import EmmaError
from emma.nodes import control as control_module
from emma.nodes.control import ControlLoop
from emma.nodes.pacing import Beat
from emma.observation import Aligner
from emma.policy import worker as worker_module
from emma.policy.controller import Controller, Mode
from emma.policy.executor import ExecutorConfig
from emma.robot import load_robot

SPEC = load_robot("desk_arm")
CAMERAS = ("top", "wrist")
TYPES = get_typestore(Stores.ROS2_JAZZY).types
MS, TICK_MS = 1_000_000, 20
HOME = np.array(SPEC.home)
FASTEST = np.array([j.velocity for j in SPEC.joints]) / SPEC.control_rate_hz
# The watchdog's limits in ticks, and one tick for the loop to see it.
WARN, HOLD = 8 + 1, 20 + 1


class Clock:
    """Stands in for the `time` module of the control loop, and for the clock of header stamps."""

    def __init__(self):
        self.now = 1_000_000 * MS
        self.wall_offset = 5_000_000 * MS

    def monotonic_ns(self):
        return self.now

    def monotonic(self):
        return self.now / 1e9

    def wall(self):
        return self.now + self.wall_offset


class Runtime:
    """Moves every joint on by a little; `fault` replaces the next answers."""

    name = "scripted"

    def __init__(self):
        self.fault = None
        self.calls = 0
        self.instructions = []
        self.gate = threading.Event()
        self.gate.set()

    def infer(self, observation, instruction):
        self.calls += 1
        self.instructions.append(instruction)
        self.gate.wait(60)
        if self.fault is not None:
            return self.fault(observation)
        ahead = np.arange(16)[:, None] * np.where(np.arange(7) < 6, 0.004, 0.0)
        return (observation.state[None] + ahead).astype(np.float32)

    def close(self):
        self.gate.set()


class Rig:
    """A running loop with cameras at 25 Hz and joints at 50 Hz that follow the commands."""

    def __init__(self, monkeypatch):
        self.clock = Clock()
        for module in (control_module, worker_module):
            monkeypatch.setattr(module, "time", self.clock)
        self.runtime = Runtime()
        self.sent = []
        self.loop = ControlLoop(
            SPEC,
            Aligner(SPEC, cameras=CAMERAS),
            self.runtime,
            Controller(SPEC, ExecutorConfig(fps=10), ramp_s=0.1),
            send=lambda position, stamp: self.sent.append(position.copy()),
            clock_ns=self.clock.wall,
        )
        self.loop.set_instruction("put the cube in the bin")
        self.joints = HOME.copy()
        self.tick = 0
        self.off = set()
        self.camera_message = image
        self.joint_message = joint_state
        self.camera_delay_ms = 0
        self.wait_for_policy = True

    def turn(self, n=1):
        """n ticks; returns the status after the last."""
        for _ in range(n):
            self.clock.now += TICK_MS * MS
            self.tick += 1
            if "joints" not in self.off:
                self.loop.push(SPEC.state_topic, self.joint_message(self.clock.wall(), self.joints))
            for name in CAMERAS:
                if name not in self.off and self.tick % 2 == 0:
                    stamp = self.clock.wall() - self.camera_delay_ms * MS
                    self.loop.push(SPEC.camera(name).image_topic, self.camera_message(stamp, self.tick))
            with self.loop._lock:
                self.loop._turn(Beat(late_s=0.0, missed=0))
            if self.sent:
                self.joints = self.sent[-1].copy()
            for _ in range(2000 if self.wait_for_policy else 0):
                if self.loop._worker.busy_s == 0.0 and self.loop._worker._request is None:
                    break
                threading.Event().wait(0.001)
        return self.loop.status()

    def started(self):
        """Running for a second, moving."""
        self.turn(4)
        self.loop.enable()
        status = self.turn(50)
        assert status.mode == Mode.RUNNING, status
        assert not np.array_equal(self.sent[-1], self.sent[-10])
        return self

    def moving(self):
        before = len(self.sent)
        status = self.turn(25)
        assert len(self.sent) == before + 25, "silent"
        return status.mode == Mode.RUNNING and not np.array_equal(self.sent[-1], self.sent[before])

    def holds_within(self, ticks):
        """Turn until holding; then every further command is the same pose. Returns the status."""
        for _ in range(ticks):
            status = self.turn()
            if status.mode == Mode.HOLDING:
                break
        assert status.mode == Mode.HOLDING, f"still {status.mode} after {ticks} ticks"
        held, count = self.sent[-1], len(self.sent)
        status = self.turn(25)
        assert len(self.sent) == count + 25, "silent"
        assert all(np.array_equal(command, held) for command in self.sent[count:])
        assert not np.allclose(held, 0.0)
        return status


def header(ns):
    stamp = TYPES["builtin_interfaces/msg/Time"](sec=ns // 10**9, nanosec=ns % 10**9)
    return TYPES["std_msgs/msg/Header"](stamp=stamp, frame_id="")


def image(ns, tick, *, size=(96, 96), encoding="rgb8", data=None):
    height, width = size
    if data is None:
        data = np.random.default_rng(tick).integers(0, 255, height * width * 3, dtype=np.uint8)
    return TYPES["sensor_msgs/msg/Image"](
        header=header(ns), height=height, width=width, encoding=encoding, is_bigendian=0, step=width * 3, data=data
    )


def joint_state(ns, values, names=SPEC.joint_names):
    empty = np.zeros(0)
    position = np.asarray(values, float)
    return TYPES["sensor_msgs/msg/JointState"](
        header=header(ns), name=list(names), position=position, velocity=empty, effort=empty
    )


@pytest.fixture
def rig(monkeypatch):
    rig = Rig(monkeypatch)
    yield rig
    rig.runtime.close()
    rig.loop._worker.close()
    steps = np.abs(np.diff(np.array(rig.sent), axis=0)) if len(rig.sent) > 1 else np.zeros((1, 7))
    assert (steps <= FASTEST + 1e-9).all(), "a fault made the command jump"


def test_nothing_wrong(rig):
    assert rig.started().moving()


@pytest.mark.parametrize("stream", ["top", "wrist", "joints"])
def test_a_stream_stops(rig, stream):
    rig.started().off.add(stream)
    name = "state" if stream == "joints" else f"images.{stream}"
    warned = rig.turn(WARN)
    assert warned.mode == Mode.RUNNING
    assert any(name in warning for warning in warned.warnings)
    status = rig.holds_within(HOLD)
    assert name in status.reason


def test_a_stream_that_comes_back_is_followed_again(rig):
    rig.started().off.add("top")
    rig.holds_within(HOLD + WARN)
    rig.off.clear()
    rig.turn(5)
    assert rig.moving()


def test_cameras_lag_half_a_second(rig):
    rig.started().camera_delay_ms = 500
    assert "images.top" in rig.holds_within(HOLD).reason


def test_cameras_lag_a_little_and_the_arm_goes_on(rig):
    rig.started().camera_delay_ms = 60
    assert rig.moving()


def test_a_camera_freezes_with_fresh_stamps(rig):
    rig.started().camera_message = lambda ns, tick: image(ns, 1)
    assert "the picture of top" in rig.holds_within(2 * HOLD).reason
    rig.camera_message = image
    rig.turn(5)
    assert rig.moving()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"size": (48, 48)}, "48 x 48"),
        ({"encoding": "nonsense8"}, "nonsense8"),
        ({"data": np.zeros(100, np.uint8)}, "cut short"),
        ({"encoding": "16UC1"}, "cannot decode"),
    ],
    ids=["size", "encoding", "short", "depth instead of colour"],
)
def test_a_camera_sends_something_else(rig, change, says):
    rig.started().camera_message = lambda ns, tick: image(ns, tick, **change)
    status = rig.holds_within(HOLD + 2)
    assert says in status.reason
    assert SPEC.camera("top").image_topic in status.reason


def test_joints_in_another_order_are_still_the_same_joints(rig):
    order = list(reversed(SPEC.joint_names))
    rig.started().joint_message = lambda ns, values: joint_state(ns, values[::-1], order)
    assert rig.moving()


@pytest.mark.parametrize(
    ("names", "values", "says"),
    [
        (SPEC.joint_names[:-1], HOME[:-1], "gripper"),
        (("a", "b", "c", "d", "e", "f", "g"), HOME, "joints missing"),
        (SPEC.joint_names, [0, np.nan, 0, 0, 0, 0, 0], "j2=nan"),
        (SPEC.joint_names, [0, np.inf, 0, 0, 0, 0, 0], "j2=inf"),
        (SPEC.joint_names, HOME[:3], "joints missing"),
    ],
    ids=["one lacks", "renamed", "nan", "inf", "positions lack"],
)
def test_joint_states_are_broken(rig, names, values, says):
    rig.started().joint_message = lambda ns, _: joint_state(ns, values, names)
    assert says in rig.holds_within(HOLD + 2).reason


def raises(observation):
    raise RuntimeError("CUDA out of memory")


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (raises, "out of memory"),
        (lambda o: np.full((16, 7), np.nan, np.float32), "not finite"),
        (lambda o: np.full((16, 7), np.inf, np.float32), "not finite"),
        (lambda o: np.zeros((16, 6), np.float32), "expected (K, 7)"),
        (lambda o: np.zeros(7, np.float32), "expected (K, 7)"),
        (lambda o: np.zeros((0, 7), np.float32), "K > 0"),
    ],
    ids=["raises", "nan", "inf", "six joints", "no chunk axis", "empty"],
)
def test_the_policy_answers_nonsense(rig, fault, says):
    """The chunk in play is finished (1.5 s and 0.3 s of grace), then the arm holds; the operator reads why."""
    rig.started().runtime.fault = fault
    status = rig.turn(25)
    assert says in status.inference_error
    assert "ran out" in rig.holds_within(100).reason


def test_the_policy_recovers(rig):
    rig.started().runtime.fault = raises
    rig.holds_within(120)
    rig.runtime.fault = None
    rig.turn(25)
    assert rig.moving()


def test_the_policy_asks_for_ten_times_too_much(rig):
    """Limits hold (the fixture checks every step); the arm goes no further than its joints allow."""
    rig.started().runtime.fault = lambda o: np.full((16, 7), 30.0, np.float32)
    status = rig.turn(150)
    assert {"position", "velocity"} & set(status.clipped)
    assert (rig.sent[-1] <= [j.upper for j in SPEC.joints]).all()


def test_the_policy_hangs(rig):
    rig.started()
    rig.wait_for_policy = False
    rig.runtime.gate.clear()
    assert "ran out" in rig.holds_within(120).reason
    rig.loop.disable()
    rig.turn(600)
    with pytest.raises(EmmaError, match="the policy hangs"):
        rig.loop.enable()


def test_one_chunk_comes_a_second_late(rig):
    rig.started()
    rig.wait_for_policy = False
    rig.runtime.gate.clear()
    rig.turn(50)
    rig.runtime.gate.set()
    rig.wait_for_policy = True
    rig.turn(5)
    assert rig.moving()


@pytest.mark.parametrize("jump_s", [-3600, -2, 3600])
def test_the_wall_clock_jumps(rig, jump_s):
    """Chunks are played on the monotonic clock, so nothing moves because of it; new stamps count from the new time."""
    rig.started()
    rig.clock.wall_offset += jump_s * 10**9
    rig.turn(60)
    assert rig.moving()


def test_the_instruction_changes_in_the_middle_of_a_chunk(rig):
    rig.started().loop.set_instruction("put the cube on the plate")
    rig.turn(30)
    assert rig.runtime.instructions[-1] == "put the cube on the plate"
    assert rig.moving()


@pytest.mark.parametrize("missing", [*CAMERAS, "joints"])
def test_it_cannot_be_enabled_blind(rig, missing):
    rig.off.add(missing)
    rig.turn(10)
    with pytest.raises(EmmaError, match="cannot enable"):
        rig.loop.enable()
    rig.turn(10)
    assert rig.sent == []


def test_it_begins_from_what_it_sees_after_enabling_not_before(rig):
    rig.turn(10)
    moved = HOME + np.array([0.3, 0, 0, 0, 0, 0, 0])
    rig.joints = moved
    rig.loop.enable()
    rig.turn(3)
    np.testing.assert_allclose(rig.sent[0], moved, atol=1e-3)


def test_it_cannot_be_enabled_without_an_instruction(rig):
    rig.loop.set_instruction("")
    rig.turn(10)
    with pytest.raises(EmmaError, match="no instruction"):
        rig.loop.enable()


def test_disabling_stops_commanding_and_a_late_chunk_moves_nothing(rig):
    rig.started()
    rig.wait_for_policy = False
    rig.runtime.gate.clear()
    rig.turn(30)
    rig.loop.disable()
    count = len(rig.sent)
    rig.runtime.gate.set()
    rig.wait_for_policy = True
    rig.turn(25)
    assert len(rig.sent) == count
    rig.loop.enable()
    for status in itertools.islice(iter(rig.turn, None), 3):
        assert status.mode in (Mode.DISABLED, Mode.WAITING, Mode.RAMPING)
    assert rig.moving()


def test_stopping_sends_the_held_pose_last(rig):
    rig.started()
    last = rig.sent[-1]
    rig.loop._thread.start()
    rig.loop.stop()
    np.testing.assert_allclose(rig.sent[-1], last, atol=3 * FASTEST.max())
    assert rig.loop._controller.enabled is False
