"""A spec against its drivers: each kind of mismatch is found and told with a fix."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stranger_arm import COMMAND_TOPIC, PUBLISHED, RAW_CAMERA, STATE_TOPIC, urdf
from stranger_heard import SOURCE, TRAJECTORY, heard_of_the_stranger, traffic

from emma.robots.check import check_robot
from emma.robots.findings import Level
from emma.robots.heard import JOINT_STATE, Heard, HeardImage, HeardJoints
from emma.robots.new import new_robot
from emma.robots.spec import RobotSpec
from emma.robots.urdf import read_urdf

IMAGES = f"{RAW_CAMERA}/image_raw"


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> RobotSpec:
    folder: Path = tmp_path_factory.mktemp("robots") / "stranger"
    made = new_robot("stranger", SOURCE, folder, heard=heard_of_the_stranger()).spec
    file = folder / "robot.yaml"
    file.write_text("\n".join(line for line in file.read_text().splitlines() if "QUESTION" not in line))
    return made


def test_questions_that_are_open_are_told(tmp_path: Path) -> None:
    spec = new_robot("stranger", SOURCE, tmp_path / "stranger").spec
    (finding,) = check_robot(spec, None, read_urdf(urdf(), "urdf")).findings
    assert "questions are open, the first: acceleration" in finding.found
    assert finding.level is Level.WARNING


def test_a_spec_fits_the_drivers_that_it_was_made_from(spec: RobotSpec) -> None:
    report = check_robot(spec, heard_of_the_stranger(), read_urdf(urdf(), "urdf"))
    assert report.findings == ()
    assert len(report.checked) == 4


def joints(names: tuple[str, ...], value: float = 0.0) -> dict[str, Any]:
    return {"joints": {STATE_TOPIC: (HeardJoints(names=names, positions=(value,) * len(names)),)}}


def one(topic: str, **changes: Any) -> dict[str, Any]:
    heard = heard_of_the_stranger()
    return {"traffic": {**heard.traffic, topic: replace(heard.traffic[topic], **changes)}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (joints(PUBLISHED[:-1]), "no positions of axis_e"),
        (joints(tuple(f"arm_{name}" for name in PUBLISHED)), "published: arm_axis_d"),
        (joints(PUBLISHED, 90.0), "values of tens and hundreds are degrees"),
        (one(STATE_TOPIC, rate_hz=100.0), "found:    100.0 Hz"),
        (one(STATE_TOPIC, publishers=()), "it has no publisher; joint states come on"),
        (one(STATE_TOPIC, count=0), "publishes nothing"),
        (one(STATE_TOPIC, behind_s=1.7e9), "behind this machine's clock"),
        (one(STATE_TOPIC, behind_s=-3.0), "3.000 s ahead of"),
        (one(STATE_TOPIC, back=7), "went back 7 times"),
        (one(STATE_TOPIC, unstamped=9), "9 messages stamped 0"),
        (one(STATE_TOPIC, senders=2, publishers=("/a", "/b")), "2 publishers of the same joints: /a, /b"),
        (one(IMAGES, rate_hz=12.0), "12.0 Hz"),
        (one(IMAGES, lost=100), "100 of 200 messages did not arrive"),
        (one(IMAGES, publishers=()), "no publisher; images come on"),
        ({"images": {IMAGES: HeardImage(width=1280, height=720, encoding="rgb8")}}, "found:    1280 x 720"),
        ({"images": {IMAGES: HeardImage(width=640, height=480, encoding="16UC1")}}, "encoding 16UC1"),
        ({"infos": {}}, "no CameraInfo"),
        (one(COMMAND_TOPIC, subscribers=()), "no subscriber there"),
        (one(COMMAND_TOPIC, type="std_msgs/msg/Float64MultiArray"), "set kind to forward_position"),
        (one(COMMAND_TOPIC, wants_latched=("/driver",)), "transient local"),
        (one(COMMAND_TOPIC, publishers=("/other",), count=50), "/other sent 50 commands"),
        ({"controllers": {COMMAND_TOPIC: ("axis_a", "axis_b")}}, "the controller takes axis_a, axis_b"),
    ],
)
def test_every_mismatch_is_told_with_what_to_do(spec: RobotSpec, changes: dict[str, Any], words: str) -> None:
    report = check_robot(spec, replace(heard_of_the_stranger(), **changes), None)
    texts = [str(finding) for finding in report.findings]
    assert any(words in text for text in texts), texts
    assert all(finding.fix and finding.expected for finding in report.findings)


def test_warnings_are_no_errors(spec: RobotSpec) -> None:
    report = check_robot(spec, replace(heard_of_the_stranger(), **one(STATE_TOPIC, unstamped=9)), None)
    assert [finding.level for finding in report.findings] == [Level.WARNING]
    assert report.errors == 0


def test_limits_may_be_narrower_than_the_description_never_wider(spec: RobotSpec) -> None:
    described = read_urdf(urdf(), "urdf")
    first = spec.joints[0]

    def found(**changes: Any) -> list[str]:
        changed = replace(spec, joints=(replace(first, **changes), *spec.joints[1:]))
        return [finding.found for finding in check_robot(changed, None, described).findings]

    assert found(lower=-1.0, upper=1.0, velocity=0.5) == []
    assert found(upper=3.0) == ["limits -2.6 to 3 rad"]
    assert found(velocity=3.0) == ["velocity 3 rad/s"]
    assert found(unit="m") == ["unit m"]


def test_numbers_without_names_must_come_in_the_controllers_order(spec: RobotSpec) -> None:
    numbers = traffic(TRAJECTORY, 0.0, publishers=(), subscribers=("/d",), count=0)
    heard = heard_of_the_stranger()
    kinds = {**heard.traffic, COMMAND_TOPIC: replace(numbers, type="std_msgs/msg/Float64MultiArray")}
    changed = replace(spec, command=replace(spec.command, kind="forward_position"))
    same = replace(heard, traffic=kinds, controllers={COMMAND_TOPIC: spec.joint_names})
    assert check_robot(changed, same, None).findings == ()
    other: Heard = replace(same, controllers={COMMAND_TOPIC: tuple(reversed(spec.joint_names))})
    assert "in this order" in str(check_robot(changed, other, None).findings[0])


def test_joint_states_on_the_wrong_topic_are_named(spec: RobotSpec) -> None:
    heard = replace(heard_of_the_stranger(), traffic={"/elsewhere": traffic(JOINT_STATE, 50.0)})
    assert "joint states come on /elsewhere" in check_robot(spec, heard, None).findings[0].found
