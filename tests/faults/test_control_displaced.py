"""The robot is not where it was commanded to be: whatever the reason, the arm never jumps.

The fixture asserts for every command that it lies within reach of the measured pose, and that a larger step than the
velocity limits allow is only ever one to the measured pose itself.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emma.control.controller import Mode
from emma.control.tracking import MARGIN, TrackingGuard
from emma.robots.spec import load_robot

SPEC = load_robot("desk_arm")
HOME = np.array(SPEC.home)
# One tick to see it; 20 ticks are the time without joint states.
SEEN, BLIND = 1 + 1, 20 + 1
ELSEWHERE = HOME + np.array([0.0, 0.0, 0.59, 0.0, 0.0, 0.0, 0.0])


def needs_a_person(rig):
    """Nothing moves the arm until it is enabled; then it starts from where it is."""
    rig.turn(30)
    assert rig.loop.status().mode == Mode.STOPPED
    count = len(rig.sent)
    rig.loop.enable()
    rig.turn(3)
    np.testing.assert_allclose(rig.sent[count], rig.measured[count], atol=1e-3)
    assert rig.moving()


def test_the_reach_is_what_the_robots_speed_and_lag_make_it():
    reach = TrackingGuard(SPEC).reach
    arm = [joint for joint in SPEC.joints if joint.name not in SPEC.gripper]
    np.testing.assert_allclose(reach[:6], [j.velocity * SPEC.tracking_s + MARGIN[j.unit] for j in arm])
    assert reach[6] == np.inf


@pytest.mark.parametrize("gap_ticks", [5, 25, 200, 3000], ids=["0.1 s", "0.5 s", "4 s", "a minute"])
def test_the_driver_comes_back_with_the_arm_elsewhere(rig, gap_ticks):
    rig.started().off.add("joints")
    rig.turn(gap_ticks, follow=False)
    rig.off.clear()
    rig.joints = ELSEWHERE.copy()
    status = rig.stops_within(SEEN, follow=False)
    assert "from its command" in status.reason or "no joint states" in status.reason
    needs_a_person(rig)


def test_the_driver_comes_back_with_its_joints_in_another_order(rig):
    rig.started().off.add("joints")
    rig.turn(BLIND, follow=False)
    rig.off.clear()
    order = list(reversed(SPEC.joint_names))
    rig.joint_message = lambda ns, values: rig.joint_state(ns, values[::-1], order)
    rig.stops_within(SEEN)
    needs_a_person(rig)


def test_the_simulator_is_respawned_without_a_gap(rig):
    rig.started()
    rig.joints = ELSEWHERE.copy()
    status = rig.stops_within(SEEN, follow=False)
    assert status.reason.startswith("j3 is ")
    np.testing.assert_allclose(rig.sent[-1], ELSEWHERE, atol=1e-6)
    needs_a_person(rig)


def test_the_arm_is_moved_by_hand_while_it_holds(rig):
    rig.started().off.add("top")
    rig.holds_within(30)
    for _ in range(200):
        rig.joints = rig.joints + np.array([0.004, 0, 0, 0, 0, 0, 0])
        if rig.turn(follow=False).mode == Mode.STOPPED:
            break
    assert "j1" in rig.loop.status().reason
    rig.off.clear()
    needs_a_person(rig)


@pytest.mark.parametrize("how", ["the controller ignores commands", "the state freezes with fresh stamps"])
def test_the_arm_does_not_follow(rig, how):
    """The policy goes on from what it sees; the command waits at the end of its reach, then the arm is let go of."""
    rig.started()
    far = rig.joints + 1.5
    rig.runtime.fault = lambda o: np.tile(np.minimum(far, [j.upper for j in SPEC.joints]), (16, 1)).astype(np.float32)
    status = rig.stops_within(200, follow=False)
    assert "does not follow" in status.reason
    rig.runtime.fault = None
    needs_a_person(rig)


def test_a_slow_arm_is_waited_for(rig):
    """An arm that lags for a moment is not let go of: the command stays within reach until it follows again."""
    rig.started()
    far = np.minimum(rig.joints + 1.5, [j.upper for j in SPEC.joints])
    rig.runtime.fault = lambda o: np.tile(far, (16, 1)).astype(np.float32)
    rig.turn(40, follow=False)
    assert rig.loop.status().mode == Mode.RUNNING
    for _ in range(60):
        rig.joints = rig.joints + 0.3 * (rig.sent[-1] - rig.joints)
        rig.turn(follow=False)
    assert rig.loop.status().mode == Mode.RUNNING
    np.testing.assert_allclose(rig.joints[:6], far[:6], atol=0.05)


def test_another_commander_is_answered_at_the_next_tick(rig):
    rig.started()
    before, rig.conflict = rig.sent[-1] - rig.sent[-2], "commands of /stranger"
    assert rig.turn().mode == Mode.HOLDING
    braking = rig.sent[-1] - rig.sent[-2]
    assert (np.abs(braking) <= np.abs(before) + 1e-9).all()
    rig.conflict = ""
    status = rig.stops_within(25)
    assert "another node commands the robot: commands of /stranger" in status.reason
    needs_a_person(rig)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    faults=st.lists(
        st.tuples(
            st.sampled_from(["gap", "displace", "freeze", "camera", "enable", "release"]),
            st.integers(1, 60),
            st.floats(-1.5, 1.5),
            st.integers(0, 5),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_no_command_is_ever_out_of_reach(rig, faults):
    """Random gaps and displacements; the fixture's checks run over all commands of all examples."""
    rig.off.clear()
    rig.turn(4)
    rig.loop.disable()
    rig.loop.enable()
    rig.turn(20)
    for kind, ticks, distance, joint in faults:
        if kind == "displace":
            rig.joints = rig.joints.copy()
            rig.joints[joint] += distance
        elif kind == "gap":
            rig.off.add("joints")
        elif kind == "camera":
            rig.off.add("top")
        elif kind == "release":
            rig.loop.release()
        elif kind == "enable" and not rig.off:
            rig.turn(3)
            rig.loop.enable()
        rig.turn(ticks, follow=kind != "freeze")
        rig.off.clear()
