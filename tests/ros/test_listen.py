"""`emma robots new` and `check` beside a driver of another make, over a real graph."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import stranger_arm

from emma.cli import main
from emma.robots.spec import load_robot
from emma.ros.domain import own_domain


@pytest.fixture(scope="module")
def driver() -> Iterator[None]:
    with own_domain():
        child = subprocess.Popen([sys.executable, stranger_arm.__file__, "--state-hz", "100", "--image-hz", "10"])
        yield
        child.terminate()
        child.wait(10)


def test_a_robot_from_its_drivers_and_checked_against_them(driver, tmp_path: Path, capsys, eventually) -> None:
    new = ["robots", "new", "stranger", "--topic", "/robot_description", "--out", str(tmp_path)]

    def heard_everything() -> bool:
        # A busy machine may need longer than others to discover all topics.
        shutil.rmtree(tmp_path / "stranger", ignore_errors=True)
        assert main([*new, "--listen", "3"]) in (0, 2)
        return (tmp_path / "stranger" / "palm_view.yaml").is_file() and (
            tmp_path / "stranger" / "overview.yaml"
        ).is_file()

    eventually(heard_everything, "both cameras with their calibration")
    said = capsys.readouterr().out
    assert "before power is on" in said
    assert "note: claw_follow is 1 x claw_slide" in said
    spec = load_robot(tmp_path / "stranger")
    assert spec.state_topic == stranger_arm.STATE_TOPIC
    assert spec.command.topic == stranger_arm.COMMAND_TOPIC
    assert [(c.name, c.transport, c.width, c.height) for c in spec.cameras] == [
        ("overview", "raw", 640, 480),
        ("palm_view", "compressed", 640, 480),
    ]
    assert all(camera.info_topic for camera in spec.cameras)

    file = tmp_path / "stranger" / "robot.yaml"
    text = file.read_text()
    file.write_text(text.replace("axis_c", "axis_x").replace("width: 640", "width: 320"))
    assert main(["robots", "check", str(file), "--listen", "3"]) == 1
    said = capsys.readouterr().out
    assert "no positions of axis_x" in said
    assert "found:    640 x 480" in said
    assert "not in the URDF" in said
    assert main(new) == 2
    assert "exists" in capsys.readouterr().err


def test_silence_is_told_with_what_to_do(capsys) -> None:
    with own_domain():
        assert main(["robots", "check", "desk_arm", "--listen", "0.5"]) == 2
    assert "start the drivers" in capsys.readouterr().err
