import numpy as np
import pytest

from emma.robots.spec import load_robot
from emma.teleop.teleop import Phase, Target, Teleop

SPEC = load_robot("desk_arm")
HOME = np.array(SPEC.home)
DT = 1.0 / SPEC.control_rate_hz
ACCELERATION = np.array([joint.acceleration for joint in SPEC.joints])
VELOCITY = np.array([joint.velocity for joint in SPEC.joints])


def tick(teleop, t_s):
    """One tick of a robot that is where it was commanded to be."""
    return teleop.tick(t_s, teleop.position if teleop.position is not None else HOME, 0.0)


class Hand:
    """A device that wants what the test says."""

    def __init__(self) -> None:
        self.wants = Target(None)
        self.began: list[np.ndarray] = []

    def begin(self, position: np.ndarray, t_s: float) -> None:
        self.began.append(position)

    def target(self, t_s: float, position: np.ndarray) -> Target:
        return self.wants


def within_limits(commands: list[np.ndarray]) -> None:
    speed = np.diff(commands, axis=0) / DT
    assert (np.abs(speed) <= VELOCITY + 1e-6).all()
    assert (np.abs(np.diff(speed, axis=0)) / DT <= ACCELERATION + 1e-6).all()


def test_nobody_is_commanded_before_and_after():
    teleop = Teleop(SPEC, Hand())
    assert tick(teleop, 0.0) is None
    teleop.engage(HOME, 0.0)
    assert teleop.phase is Phase.DRIVING
    teleop.release()
    np.testing.assert_allclose(tick(teleop, DT), HOME)
    assert teleop.phase is Phase.IDLE
    assert tick(teleop, 2 * DT) is None


def test_wild_targets_become_bounded_motion_and_an_orderly_end():
    rng = np.random.default_rng(0)
    hand = Hand()
    teleop = Teleop(SPEC, hand)
    teleop.engage(HOME, 0.0)
    commands = [HOME]
    for i in range(300):
        if i % 7 == 0:
            hand.wants = Target(rng.uniform(-4, 4, 7)) if i % 3 else Target(None)
        command = tick(teleop, i * DT)
        assert command is not None
        commands.append(command)
    teleop.release()
    while (command := tick(teleop, 0.0)) is not None:
        commands.append(command)
        assert len(commands) < 400
    within_limits(commands)
    np.testing.assert_allclose(commands[-1], commands[-2], atol=1e-9)


@pytest.mark.parametrize("bad", [np.full(7, np.nan), np.full(7, np.inf)])
def test_a_device_that_goes_mad_stops_the_arm(bad):
    hand = Hand()
    teleop = Teleop(SPEC, hand)
    teleop.engage(HOME, 0.0)
    hand.wants = Target(bad)
    np.testing.assert_allclose(tick(teleop, DT), HOME)
    assert "finite" in teleop.note


def test_a_slow_share_of_the_velocity_is_kept():
    hand = Hand()
    teleop = Teleop(SPEC, hand)
    teleop.engage(HOME, 0.0)
    hand.wants = Target(HOME + 0.5, speed=0.1)
    commands = [HOME] + [tick(teleop, i * DT) for i in range(100)]
    assert (np.abs(np.diff(commands, axis=0)) <= 0.1 * VELOCITY * DT + 1e-9).all()


def test_stopping_holds_at_once_in_the_middle_of_a_motion():
    hand = Hand()
    teleop = Teleop(SPEC, hand)
    assert teleop.stop() is None
    teleop.engage(HOME, 0.0)
    hand.wants = Target(HOME + 0.5)
    last = [tick(teleop, i * DT) for i in range(10)][-1]
    np.testing.assert_array_equal(teleop.stop(), last)
    assert teleop.phase is Phase.IDLE
    assert tick(teleop, 1.0) is None
