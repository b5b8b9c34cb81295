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
        (lambda r: r["cameras"][0].update(width=-4), "cameras[0].width", "1 to 32768"),
        (lambda r: r["cameras"][0].update(height=10**7), "cameras[0].height", "1 to 32768"),
        (lambda r: r["joints"][1].update(upper=110.0), "joints[1].upper", "degrees x 0.01745"),
        (lambda r: r.update(max_age_s=1e9), "max_age_s", "10 seconds"),
        (lambda r: r.update(max_age_s=0.001), "max_age_s", "the period of"),
        (lambda r: r.update(state_topic=r["command"]["topic"]), "command", "a topic of its own"),
        (lambda r: r["command"].update(kind="magic"), "command.kind", "joint_trajectory"),
        (lambda r: r.update(gripper=["hand"]), "gripper", "j1, j2"),
        (lambda r: r.update(home=[0.0]), "home", "7 values"),
        (lambda r: r.update(joints=[]), "joints", "at least one"),
        (lambda r: r.update(max_age_s=float("inf")), "max_age_s", "not NaN or infinite"),
        (lambda r: r["joints"][0].update(upper=float("nan")), "joints[0].upper", "not NaN or infinite"),
        (lambda r: r["home"].__setitem__(6, float("nan")), "home", "none NaN"),
        (lambda r: r["home"].__setitem__(6, 0.5), "home[6]", "0 to 0.035 m, the limits of joint gripper"),
        (lambda r: r["joints"][1].update(name=""), "joints[1].name", "neither is empty"),
        (lambda r: r["joints"][1].update(name=" j2"), "joints[1].name", "neither is empty"),
        (lambda r: r.update(state_topic="/joint states"), "state_topic", "absolute topic name"),
        (lambda r: r.update(state_topic="/joint_states/"), "state_topic", "absolute topic name"),
        (lambda r: r["command"].update(topic="//arm"), "command.topic", "absolute topic name"),
        (lambda r: r["cameras"][1].update(info_topic="/cam/2nd"), "cameras[1].info_topic", "absolute topic name"),
        (
            lambda r: r["cameras"][0].update(image_topic="/camera/top/compressed"),
            "cameras[0].transport",
            "compressed, since",
        ),
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


def damage(tmp_path: Path, change) -> Path:
    file = tmp_path / "robot.yaml"
    file.write_bytes(change((load_robot("desk_arm").folder / "robot.yaml").read_text()))
    return file


@pytest.mark.parametrize(
    ("change", "problem", "found"),
    [
        (lambda t: t.replace("Simulated", "Gewählt").encode("latin-1"), "UTF-8", "byte 0xe4"),
        (lambda t: t.encode("utf-16"), "UTF-8", "offset 0"),
        (lambda t: b"\x89PNG\r\n\x1a\n\x00", "UTF-8", "byte 0x89 at offset 0"),
        (lambda t: b"a: \x00", "not valid YAML", "special characters"),
        (lambda t: b"a: " + b"[" * 20_000, "nested too deeply", "levels"),
        (lambda t: (t + "\nfps: 5\n").encode(), "key fps is there twice", "lines"),
        (lambda t: t.replace("{name: j1, ", "{name: j1, name: j9, ").encode(), "key name is there twice", "lines"),
        (lambda t: (t + "\nhome: 2026-99-99\n").replace("home: [", "tracking: [").encode(), "not valid YAML", "month"),
    ],
)
def test_a_file_that_is_not_plain_utf8_yaml_is_refused(tmp_path, change, problem, found):
    file = damage(tmp_path, change)
    with pytest.raises(EmmaError, match=problem) as error:
        load_robot(file)
    assert str(file) in error.value.problem
    assert found in str(error.value.found)


def test_a_byte_order_mark_of_utf8_is_no_fault(tmp_path):
    assert load_robot(damage(tmp_path, lambda text: text.encode("utf-8-sig"))).name == "desk_arm"


def test_a_camera_that_is_not_there():
    with pytest.raises(EmmaError, match="no camera 'rear'") as error:
        load_robot("desk_arm").camera("rear")
    assert "top, wrist, front" in str(error.value)
