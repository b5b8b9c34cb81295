import numpy as np
import pytest

from emma.errors import EmmaError
from emma.robots.spec import load_robot
from emma.sim.kinematics import Kinematics, tool_down
from emma.sim.scene import build_model
from emma.teleop.jog import JogConfig, JogDevice
from emma.teleop.teleop import Teleop

SPEC = load_robot("desk_arm")
HOME = np.array(SPEC.home)
DT = 1.0 / SPEC.control_rate_hz
CONFIG = JogConfig()
BOX = np.array(SPEC.kinematics.jog_box)


def tick(teleop, t_s):
    """One tick of a robot that is where it was commanded to be."""
    return teleop.tick(t_s, teleop.position if teleop.position is not None else HOME, 0.0)


@pytest.fixture(scope="module")
def kinematics() -> Kinematics:
    return Kinematics(build_model())


def drive(axes: list[float], seconds: float, *, settle: float = 0.5):
    """Hold a deflection for some time and let go; the commands, and the teleop's last note while held."""
    device = JogDevice(SPEC)
    teleop = Teleop(SPEC, device)
    teleop.engage(HOME, 0.0)
    commands, note = [HOME], ""
    for i in range(1, round((seconds + settle) / DT) + 1):
        if i * DT <= seconds:
            device.push(np.array(axes), i * DT)
        commands.append(tick(teleop, i * DT))
        note = teleop.note if i * DT <= seconds else note
    return np.array(commands), note


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_the_tool_moves_along_one_axis_and_keeps_its_direction(kinematics, axis, direction):
    axes = [0.0] * 5
    axes[axis] = direction
    commands, note = drive(axes, 0.5)
    start, facing = kinematics.forward(HOME[:6])
    end, still = kinematics.forward(commands[-1][:6])
    moved = end - start
    # Held for half a second, and for `hold_s` after the last message.
    expected = direction * CONFIG.linear * (0.5 + CONFIG.hold_s)
    assert moved[axis] == pytest.approx(expected, abs=2 * DT * CONFIG.linear)
    assert np.abs(np.delete(moved, axis)).max() < 1e-4
    np.testing.assert_allclose(still, facing, atol=1e-3)
    assert note == ""


def test_yaw_turns_the_tool_in_place_and_the_gripper_moves_alone(kinematics):
    commands, _ = drive([0, 0, 0, 1.0, 0], 0.5)
    start, _ = kinematics.forward(HOME[:6])
    end, facing = kinematics.forward(commands[-1][:6])
    np.testing.assert_allclose(end, start, atol=1e-4)
    turned = CONFIG.yaw * (0.5 + CONFIG.hold_s)
    np.testing.assert_allclose(facing, tool_down(turned), atol=0.02 * CONFIG.yaw + 1e-3)
    commands, _ = drive([0, 0, 0, 0, -1.0], 2.0)
    np.testing.assert_allclose(commands[-1][:6], HOME[:6], atol=1e-9)
    assert commands[-1][6] == pytest.approx(SPEC.joints[6].lower, abs=1e-6)


EDGES = ([1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, -1, 0, 0], [1, 1, 1, 1, 1], [-1, -1, 0, 0, 0])
# Joints that move at full jog speed need a tick or two to stop.
BRAKING_M = 2.5 * CONFIG.linear * DT


@pytest.mark.parametrize("axes", EDGES)
def test_driving_on_ends_at_the_edge_and_never_leaves_limits(kinematics, axes):
    commands, note = drive(axes, 6.0)
    assert note in ("at the edge of the box", "out of reach", "too near a singularity")
    positions = np.array([kinematics.forward(row[:6])[0] for row in commands])
    assert (positions > BOX[:3] - BRAKING_M).all()
    assert (positions < BOX[3:] + BRAKING_M).all()
    speed = np.abs(np.diff(commands, axis=0)) / DT
    assert (speed <= np.array([joint.velocity for joint in SPEC.joints]) + 1e-6).all()


def test_it_stops_when_no_deflection_arrives():
    commands, _ = drive([1.0, 0, 0, 0, 0], 0.3, settle=1.0)
    np.testing.assert_allclose(commands[-1], commands[-10], atol=1e-6)


@pytest.mark.parametrize("axes", [[0.0] * 4, [0, 0, 0, 0, np.nan]])
def test_bad_axes_are_refused(axes):
    with pytest.raises(EmmaError, match="axes"):
        JogDevice(SPEC).push(np.array(axes), 0.0)


@pytest.mark.parametrize("wrong", [{"linear": 0.0}, {"hold_s": -1.0}])
def test_bad_configurations_are_refused(wrong):
    with pytest.raises(ValueError, match="above 0"):
        JogConfig(**wrong)
