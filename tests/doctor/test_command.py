"""`emma doctor` and `emma robots` as a user runs them."""

import argparse
import json
import subprocess
import sys
from types import ModuleType

import pytest

from emma.commands import doctor, robots
from emma.doctor.check import fail, ok
from emma.errors import EmmaError


def parse(verb: ModuleType, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    verb.configure(parser)
    return parser.parse_args(words)


def test_failure_shows_the_fix_and_the_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "many")
    assert doctor.run(parse(doctor, "--json")) == 1
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert checks["domain id"]["status"] == "FAIL"
    assert "ROS_DOMAIN_ID" in checks["domain id"]["fix"]
    assert checks["python"]["status"] == "OK"


def test_table_names_every_check() -> None:
    out = subprocess.run([sys.executable, "-m", "emma", "doctor"], capture_output=True, text=True, timeout=80).stdout
    for name in ("python", "packages", "torch", "rclpy", "middleware", "domain id", "discovery", "rendering", "disk"):
        assert name in out


def test_forty_columns_cut_nothing_off(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/a/folder/with/a/name/that/is/longer/than/forty/columns/are"
    checks = [fail("domain id", f"ROS_DOMAIN_ID={path}", "export ROS_DOMAIN_ID=0"), ok("python", path)]
    monkeypatch.setattr("emma.doctor.examine", lambda: checks)
    for columns in ("40", "80"):
        monkeypatch.setenv("COLUMNS", columns)
        assert doctor.run(parse(doctor)) == 1
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= int(columns)
        shown = "".join("".join(lines).split())
        assert shown.count(path) == 2
        assert "todo:exportROS_DOMAIN_ID=0" in shown


def test_robots(capsys: pytest.CaptureFixture[str]) -> None:
    assert robots.run(parse(robots)) == 0
    assert "desk_arm" in capsys.readouterr().out
    assert robots.run(parse(robots, "desk_arm")) == 0
    shown = capsys.readouterr().out
    for text in ("gripper", "wrist", "/camera/top/depth/image_raw", "sensor_msgs/msg/JointState"):
        assert text in shown


def test_unknown_robot() -> None:
    with pytest.raises(EmmaError, match="toaster"):
        robots.run(parse(robots, "toaster"))
