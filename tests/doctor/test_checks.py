"""Each check of the doctor, well and unwell. The probes are real processes."""

import os
import sys
from pathlib import Path

import pytest

from emma.doctor import machine, python, ros
from emma.doctor.check import Check, Probe, ProbeError, Status


def is_(check: Check, status: Status, text: str = "") -> None:
    assert check.status is status, check
    assert text in check.found
    assert check.fix or status is Status.OK, "what is not well comes with a fix"


class TestProbe:
    def test_answer(self) -> None:
        assert Probe("-c", "print('noise'); print('{\"a\": 1}')").answer() == {"a": 1}

    def test_says_what_was_raised(self) -> None:
        with pytest.raises(ProbeError, match="ValueError: two NumPys"):
            Probe("-c", "raise ValueError('two NumPys')").answer()

    def test_survives_a_crash(self) -> None:
        with pytest.raises(ProbeError, match="signal 11"):
            Probe("-c", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)").answer()

    def test_survives_a_hang(self) -> None:
        with pytest.raises(ProbeError, match="no answer"):
            Probe("-c", "import time; time.sleep(60)").answer(timeout_s=0.3)

    def test_silence_is_no_answer(self) -> None:
        with pytest.raises(ProbeError, match="exit code 0"):
            Probe("-c", "pass").answer()


class TestPython:
    def test_this_environment(self) -> None:
        is_(python.python(), Status.OK, sys.executable)
        is_(python.package(), Status.OK)

    def test_another_version_than_pinned(self, tmp_path: Path) -> None:
        pins = tmp_path / "constraints.txt"
        pins.write_text("# comment\nnumpy==1.26.4\nnot-installed-here==1.0\n")
        is_(python.packages(pins), Status.WARN, "(pinned 1.26.4)")
        pins.write_text("not-installed-here==1.0\n")
        is_(python.packages(pins), Status.OK)

    def test_no_models(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "calibration" / "arm").mkdir(parents=True)
        (tmp_path / "calibration" / "arm" / "robot.yaml").touch()
        (tmp_path / "models" / "policy").mkdir(parents=True)
        monkeypatch.setenv("EMMA_HOME", str(tmp_path))
        is_(python.data(), Status.FAIL, "no policies")
        (tmp_path / "models" / "policy" / "emma.json").touch()
        is_(python.data(), Status.OK, "robots: arm; policies: policy")


class TestRos:
    def test_rclpy_of_another_installation(self, tmp_path: Path) -> None:
        is_(ros.rclpy(ros.start_rclpy(), tmp_path), Status.FAIL, "is not of this environment")

    def test_rclpy_that_crashes(self) -> None:
        is_(ros.rclpy(Probe("-c", "import os; os.abort()")), Status.FAIL, "signal 6")

    @pytest.mark.parametrize(
        ("value", "status"),
        [("", Status.OK), ("rmw_fastrtps_cpp", Status.OK), ("rmw_zenoh_cpp", Status.FAIL)],
    )
    def test_middleware(self, value: str, status: Status) -> None:
        is_(ros.middleware({"RMW_IMPLEMENTATION": value}), status, value)

    @pytest.mark.parametrize(
        ("value", "status"),
        [("", Status.OK), ("7", Status.OK), ("150", Status.WARN), ("233", Status.FAIL), ("robot", Status.FAIL)],
    )
    def test_domain(self, value: str, status: Status) -> None:
        is_(ros.domain({"ROS_DOMAIN_ID": value}), status, value)

    @pytest.mark.parametrize(
        ("environ", "status", "text"),
        [
            ({}, Status.OK, "SUBNET (default): every machine"),
            ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}, Status.OK, "LOCALHOST"),
            ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_STATIC_PEERS": "arm"}, Status.OK, "static peers arm"),
            ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "local"}, Status.FAIL, "local"),
            ({"ROS_LOCALHOST_ONLY": "1"}, Status.WARN, "deprecated"),
            ({"ROS_DISCOVERY_SERVER": "host:11811"}, Status.OK, "host:11811"),
        ],
    )
    def test_discovery(self, environ: dict[str, str], status: Status, text: str) -> None:
        is_(ros.discovery(environ), status, text)

    def test_sourced(self) -> None:
        is_(ros.sourced({}), Status.OK, "none")
        is_(ros.sourced({"ROS_DISTRO": "humble", "AMENT_PREFIX_PATH": "/opt/ros/humble"}), Status.WARN, "humble")
        is_(ros.sourced({"ROS_DISTRO": "kilted", "AMENT_PREFIX_PATH": "/opt/ros/kilted"}), Status.OK, "kilted")

    def test_colcon_build(self, tmp_path: Path) -> None:
        is_(ros.colcon({"AMENT_PREFIX_PATH": str(tmp_path)}), Status.OK, "not sourced")
        launcher = tmp_path / "lib" / "emma" / "sim"
        launcher.parent.mkdir(parents=True)
        environ = {"AMENT_PREFIX_PATH": f"/opt/ros/jazzy{os.pathsep}{tmp_path}"}
        launcher.write_text(f'#!/bin/sh\nrecorded="{sys.prefix}/bin/python"\n')
        is_(ros.colcon(environ), Status.OK, "starts this environment")
        launcher.write_text(f'#!/bin/sh\nrecorded="{sys.base_prefix}/bin/python3"\n')
        is_(ros.colcon(environ), Status.WARN, "not this environment")
        launcher.write_text('#!/bin/sh\nrecorded="/gone/bin/python"\n')
        is_(ros.colcon(environ), Status.FAIL, "/gone/bin/python")
        is_(ros.colcon({**environ, "EMMA_PYTHON": f"{sys.prefix}/bin/python"}), Status.OK)


class TestMachine:
    def test_draws(self) -> None:
        is_(machine.rendering(machine.start_render()), Status.OK, "draws without a screen")

    def test_no_opengl(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MUJOCO_GL", "vulkan")
        is_(machine.rendering(machine.start_render()), Status.FAIL, "vulkan")

    def test_black_pictures(self) -> None:
        probe = Probe("-c", 'print(\'{"backend": "egl", "drawn": 0}\')')
        is_(machine.rendering(probe), Status.FAIL, "black")

    def test_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        free = machine.shutil.disk_usage(tmp_path).free
        monkeypatch.setattr(machine, "DISK_LOW", 0)
        monkeypatch.setattr(machine, "DISK_OUT", 0)
        is_(machine.disk(tmp_path), Status.OK, str(tmp_path))
        monkeypatch.setattr(machine, "DISK_LOW", 2 * free)
        is_(machine.disk(tmp_path), Status.WARN)
        monkeypatch.setattr(machine, "DISK_OUT", 2 * free)
        is_(machine.disk(tmp_path), Status.FAIL)

    def test_shared_memory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        is_(machine.shared_memory(tmp_path / "none"), Status.WARN)
        is_(machine.shared_memory(tmp_path), Status.OK)
        monkeypatch.setattr(machine, "SHARED_MEMORY_LOW", 2**62)
        is_(machine.shared_memory(tmp_path), Status.WARN, "MiB")
