"""What goes wrong around a running policy, and what the arm is told then.

Each fault is put into a running control loop on a clock of the test's own, one tick at a time, with real messages. The
table in docs/reference/faults-control.md says the same in words.
"""

import itertools
import re

import numpy as np
import pytest

from emma.control.controller import Mode
from emma.errors import EmmaError
from emma.robots.spec import load_robot

SPEC = load_robot("desk_arm")
CAMERAS = ("top", "wrist")
HOME = np.array(SPEC.home)
FASTEST = np.array([j.velocity for j in SPEC.joints]) / SPEC.control_rate_hz
# The watchdog's limits in ticks, and one tick for the loop to see it.
WARN, HOLD = 8 + 1, 20 + 1
# A chunk is 1.5 s and is played 0.3 s beyond its end.
RUN_OUT = 90 + 1


def test_nothing_wrong(rig):
    assert rig.started().moving()


@pytest.mark.parametrize("stream", CAMERAS)
def test_a_camera_stops(rig, stream):
    rig.started().off.add(stream)
    name = f"images.{stream}"
    warned = rig.turn(WARN)
    assert warned.mode == Mode.RUNNING
    assert any(name in warning for warning in warned.warnings)
    status = rig.holds_within(HOLD - WARN)
    assert re.fullmatch(rf"stale: {name} \d\.\d\d s old", status.reason)


def test_the_joint_states_stop(rig):
    """Where the arm is, is not known: a driver that comes back must find no old command."""
    rig.started().off.add("joints")
    warned = rig.turn(WARN)
    assert warned.mode == Mode.RUNNING
    assert any("state" in warning for warning in warned.warnings)
    assert re.fullmatch(r"no joint states for 0\.4\d s", rig.stops_within(HOLD - WARN).reason)
    rig.off.clear()
    rig.turn(25)
    assert rig.loop.status().mode == Mode.STOPPED
    rig.loop.enable()
    assert rig.moving()


def test_a_camera_that_comes_back_is_followed_again(rig):
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
    rig.started().camera_message = lambda ns, tick: rig.image(ns, 1)
    assert "the picture of top" in rig.holds_within(2 * HOLD).reason
    rig.camera_message = rig.image
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
    rig.started().camera_message = lambda ns, tick: rig.image(ns, tick, **change)
    status = rig.holds_within(HOLD + 2)
    assert says in status.reason
    assert SPEC.camera("top").image_topic in status.reason


def test_joints_in_another_order_are_still_the_same_joints(rig):
    order = list(reversed(SPEC.joint_names))
    rig.started().joint_message = lambda ns, values: rig.joint_state(ns, values[::-1], order)
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
    rig.started().joint_message = lambda ns, _: rig.joint_state(ns, values, names)
    assert says in rig.stops_within(HOLD + 2).reason


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
    assert "ran out" in rig.holds_within(RUN_OUT - 25).reason


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
    assert "ran out" in rig.holds_within(RUN_OUT).reason
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
    rig.driver.stop()
    np.testing.assert_allclose(rig.sent[-1], last, atol=3 * FASTEST.max())
    assert not rig.loop.commanding
