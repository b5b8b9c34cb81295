"""RobotSpec: what ships loads, and what is wrong is named by file, key, value and what is allowed."""

from pathlib import Path

import pytest
import yaml

from emma.errors import EmmaError
from emma.robots.spec import list_robots, load_robot


def write(tmp_path: Path, change) -> Path:
    raw = yaml.safe_load((load_robot("desk_arm").folder / "robot.yaml").read_text())
    change(raw)
    file = tmp_path / "robot.yaml"
    file.write_text(yaml.safe_dump(raw))
    return file


@pytest.mark.parametrize("name", list_robots())
def test_every_robot_that_ships_is_valid(name):
    spec = load_robot(name)
    assert spec.name == name
    assert len(set(spec.topics())) == len(spec.topics())
    assert spec.command.topic in spec.topics()


def test_by_name_by_file_and_by_folder_are_the_same():
    by_name = load_robot("desk_arm")
    assert load_robot(by_name.folder) == by_name
    assert load_robot(by_name.folder / "robot.yaml") == by_name


def test_unknown_robot_lists_the_known_ones():
    with pytest.raises(EmmaError, match="unknown robot 'nobody'") as error:
        load_robot("nobody")
    assert "desk_arm" in str(error.value)


@pytest.mark.parametrize(
    ("change", "key", "expected"),
    [
        (lambda r: r.update(control_rate_hz=0), "control_rate_hz", "(0, 1000]"),
        (lambda r: r.update(control_rate_hz="fast"), "control_rate_hz", "a number"),
        (lambda r: r.update(fps=51), "fps", "control_rate_hz"),
        (lambda r: r.update(fps=True), "fps", "a whole number"),
        (lambda r: r.update(speed=3), "speed", "one of"),
        (lambda r: r.pop("state_topic"), "state_topic", "a value for"),
        (lambda r: r["joints"][2].update(upper=-9.0), "joints[2].lower", "below upper"),
        (lambda r: r["joints"][2].update(unit="deg"), "joints[2].unit", "rad, m"),
        (lambda r: r["joints"][1].update(name="j1"), "joints", "differ"),
        (lambda r: r["cameras"][0].update(image_topic="top"), "cameras[0].image_topic", "absolute"),
        (lambda r: r["cameras"][0].update(width=-4), "cameras[0].width", "above 0"),
        (lambda r: r["command"].update(kind="magic"), "command.kind", "joint_trajectory"),
        (lambda r: r.update(gripper=["hand"]), "gripper", "j1, j2"),
        (lambda r: r.update(home=[0.0]), "home", "7 values"),
        (lambda r: r.update(joints=[]), "joints", "at least one"),
    ],
)
def test_errors_name_file_key_and_what_is_allowed(tmp_path, change, key, expected):
    file = write(tmp_path, change)
    with pytest.raises(EmmaError) as error:
        load_robot(file)
    text = str(error.value)
    assert str(file) in text
    assert key in text
    assert expected in text


def test_broken_yaml_and_missing_file(tmp_path):
    file = tmp_path / "robot.yaml"
    with pytest.raises(EmmaError, match="cannot read"):
        load_robot(file)
    file.write_text("joints: [")
    with pytest.raises(EmmaError, match="not valid YAML"):
        load_robot(file)
    file.write_text("just words")
    with pytest.raises(EmmaError, match="does not describe a robot"):
        load_robot(file)


def test_a_camera_that_is_not_there():
    with pytest.raises(EmmaError, match="no camera 'rear'") as error:
        load_robot("desk_arm").camera("rear")
    assert "top, wrist, front" in str(error.value)
