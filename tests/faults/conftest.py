"""A running control loop on a clock of the test's own, with real messages, one tick at a time."""

import threading

import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

from emma.control import inference as inference_module
from emma.control.chunk_executor import ExecutorConfig
from emma.control.controller import Controller, Mode
from emma.control.pacing import Beat
from emma.control.real_time import RealTimeLoop
from emma.control.tracking import TrackingGuard
from emma.observation import Aligner
from emma.robots.spec import load_robot

SPEC = load_robot("desk_arm")
CAMERAS = ("top", "wrist")
TYPES = get_typestore(Stores.ROS2_JAZZY).types
MS, TICK_MS = 1_000_000, 20
HOME = np.array(SPEC.home)
FASTEST = np.array([j.velocity for j in SPEC.joints]) / SPEC.control_rate_hz


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

    name, reason, rtc, past_s, note, isolated = "scripted", "a test", "", (), "", False

    def __init__(self):
        self.fault = None
        self.calls = 0
        self.instructions = []
        self.gate = threading.Event()
        self.gate.set()

    def reset(self, seed):
        pass

    def infer(self, observation, instruction, previous=None):
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
        monkeypatch.setattr(inference_module, "time", self.clock)
        self.runtime = Runtime()
        self.sent = []
        # Where the robot was measured to be when each command was sent.
        self.measured = []
        self.conflict = ""
        self.driver = RealTimeLoop(
            SPEC,
            Aligner(SPEC, cameras=CAMERAS),
            self.runtime,
            Controller(SPEC, ExecutorConfig(fps=10), ramp_s=0.1),
            send=self.send,
            clock_ns=self.clock.wall,
            conflict=lambda: self.conflict,
            monotonic_ns=self.clock.monotonic_ns,
        )
        self.loop = self.driver.loop
        self.loop.set_instruction("put the cube in the bin")
        self.joints = HOME.copy()
        self.tick = 0
        self.off = set()
        self.image, self.joint_state = image, joint_state
        self.camera_message = image
        self.joint_message = joint_state
        self.camera_delay_ms = 0
        self.wait_for_policy = True

    def send(self, position, stamp):
        self.sent.append(position.copy())
        self.measured.append(self.joints.copy())

    def turn(self, n=1, *, follow=True):
        """n ticks; returns the status after the last. follow: the arm is where it was last commanded to be."""
        for _ in range(n):
            self.clock.now += TICK_MS * MS
            self.tick += 1
            if "joints" not in self.off:
                self.driver.push(SPEC.state_topic, self.joint_message(self.clock.wall(), self.joints))
            for name in CAMERAS:
                if name not in self.off and self.tick % 2 == 0:
                    stamp = self.clock.wall() - self.camera_delay_ms * MS
                    self.driver.push(SPEC.camera(name).image_topic, self.camera_message(stamp, self.tick))
            assert self.driver.decoder.wait_idle(10.0)
            count = len(self.sent)
            self.driver.beat(Beat(late_s=0.0, missed=0))
            if len(self.sent) > count and follow:
                self.joints = self.sent[-1].copy()
            if self.wait_for_policy:
                assert self.loop.inference.wait_idle(10.0)
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

    def stops_within(self, ticks, *, follow=True):
        """Turn until it lets go by itself; then nothing is commanded any more. Returns the status."""
        for _ in range(ticks):
            status = self.turn(follow=follow)
            if status.mode == Mode.STOPPED:
                break
        assert status.mode == Mode.STOPPED, f"still {status.mode} after {ticks} ticks"
        count = len(self.sent)
        self.turn(25, follow=follow)
        assert len(self.sent) == count, "not silent"
        return status

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
    rig.driver.stop()
    reach = TrackingGuard(SPEC).reach
    last = None
    for command, measured in zip(rig.sent, rig.measured, strict=True):
        away = np.abs(command - measured)
        assert (away <= reach + 1e-6).all(), "a command was out of reach of where the robot is"
        small = last is None or (np.abs(command - last) <= FASTEST + 1e-9).all()
        held = np.clip(measured, [j.lower for j in SPEC.joints], [j.upper for j in SPEC.joints])
        assert small or np.allclose(command, held, atol=1e-6), "a fault made the command jump"
        last = command
