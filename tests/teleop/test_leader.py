from pathlib import Path

import numpy as np
import pytest

from emma.errors import EmmaError
from emma.robots.spec import load_robot
from emma.teleop.leader import JointMap, LeaderConfig, LeaderDevice, LeaderMap, load_leader_map
from emma.teleop.teleop import Teleop

SPEC = load_robot("desk_arm")
HOME = np.array(SPEC.home)
NAMES = list(SPEC.joint_names)
DT = 1.0 / SPEC.control_rate_hz


def tick(teleop, t_s):
    """One tick of a robot that is where it was commanded to be."""
    return teleop.tick(t_s, teleop.position if teleop.position is not None else HOME, 0.0)


def test_joints_are_found_by_name_scaled_turned_and_shifted():
    mapping = LeaderMap(joints=(JointMap(leader="b", scale=-2.0, offset=0.5), JointMap(leader="a")))
    np.testing.assert_allclose(mapping.apply(["a", "x", "b"], [0.1, 9.0, 0.25]), [0.0, 0.1])


@pytest.mark.parametrize(
    ("names", "positions", "says"),
    [(["a"], [0.0], "lacks b"), (["b", "a"], [0.0], "lacks a"), (["a", "b"], [0.0, np.nan], "not finite")],
)
def test_a_leader_that_does_not_fit_is_refused(names, positions, says):
    with pytest.raises(EmmaError, match=says):
        LeaderMap(joints=(JointMap(leader="b"), JointMap(leader="a"))).apply(names, positions)


def test_a_map_is_read_and_what_is_left_out_is_one_to_one(tmp_path: Path):
    file = tmp_path / "map.yaml"
    file.write_text("j1: {leader: shoulder, scale: -1.0}\ngripper: {leader: trigger, scale: 0.035, offset: 0.001}\n")
    mapping = load_leader_map(file, SPEC)
    assert mapping.joints[0] == JointMap(leader="shoulder", scale=-1.0)
    assert mapping.joints[1] == JointMap(leader="j2")
    assert mapping.joints[6] == JointMap(leader="trigger", scale=0.035, offset=0.001)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("j9: {}", "j9"),
        ("j1: {sign: -1}", "sign"),
        ("j1: {scale: zero}", "zero"),
        ("j1: {scale: 0}", "not 0"),
        ("j1: {offset: .nan}", "finite"),
        ("- j1", "list"),
        ("j1: {", "not valid YAML"),
    ],
)
def test_a_wrong_map_is_refused_by_name(tmp_path: Path, text: str, says: str):
    file = tmp_path / "map.yaml"
    file.write_text(text)
    with pytest.raises(EmmaError, match=r"map\.yaml") as refused:
        load_leader_map(file, SPEC)
    assert says in str(refused.value)


def test_the_follower_comes_slowly_and_then_follows_one_to_one():
    config = LeaderConfig()
    device = LeaderDevice(LeaderMap.identity(SPEC), config)
    teleop = Teleop(SPEC, device)
    teleop.engage(HOME, 0.0)
    leader, now, commands, notes = HOME + 0.6 * np.array([1, 1, -1, 1, -1, 1, 0]), 0.0, [HOME], []
    while not notes or notes[-1]:
        now += DT
        device.push(NAMES, leader, now)
        commands.append(tick(teleop, now))
        notes.append(teleop.note)
        assert len(notes) < 500
    assert set(notes[:-1]) == {"coming to the leader's pose"}
    top = np.array([joint.velocity for joint in SPEC.joints]) * config.align_speed
    assert (np.abs(np.diff(commands, axis=0)) <= top * DT + 1e-9).all()
    for _ in range(round(config.ramp_s / DT) + 50):
        now += DT
        leader = leader + np.append(np.full(6, 0.2), 0.0) * DT * np.sin(now)
        device.push(NAMES, leader, now)
        command = tick(teleop, now)
    np.testing.assert_allclose(command, leader, atol=1e-3)


def test_a_silent_leader_stops_the_arm_and_a_returning_one_is_approached_slowly():
    device = LeaderDevice(LeaderMap.identity(SPEC))
    teleop = Teleop(SPEC, device)
    teleop.engage(HOME, 0.0)
    np.testing.assert_allclose(tick(teleop, DT), HOME)
    assert teleop.note == "no leader yet"
    device.push(NAMES, HOME, 0.1)
    tick(teleop, 0.1)
    assert teleop.note == ""
    tick(teleop, 1.0)
    assert teleop.note == "the leader is silent for 0.9 s"
    device.push(NAMES, HOME + 0.3, 1.1)
    before = tick(teleop, 1.1)
    assert teleop.note == "coming to the leader's pose"
    assert np.abs(before - HOME).max() < 0.01


@pytest.mark.parametrize("wrong", [{"align_speed": 0.0}, {"align_speed": 1.5}, {"ramp_s": 0.0}, {"max_age_s": -1.0}])
def test_bad_configurations_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LeaderConfig(**wrong)
