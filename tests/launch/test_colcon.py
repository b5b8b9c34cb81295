"""`colcon build` in the workspace, for real, into a folder aside; and that what it installs starts anywhere."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COLCON = Path(sys.executable).with_name("colcon")
EXECUTABLES = {
    "sim",
    "policy",
    "recorder",
    "scripted_operator",
    "teleop",
    "keys",
    "console",
    "web_console",
    "learner",
    "emma",
}

pytestmark = pytest.mark.skipif(not COLCON.exists(), reason="colcon is not installed (extra 'colcon')")


def build(folder: Path, *options: str) -> Path:
    """Run colcon as a user would in ros2_ws; returns the package's prefix."""
    command = [str(COLCON), "--log-base", str(folder / "log"), "build", *options]
    command += ["--build-base", str(folder / "build"), "--install-base", str(folder / "install")]
    environ = {key: value for key, value in os.environ.items() if key not in ("COLCON_DEFAULTS_FILE", "EMMA_PYTHON")}
    done = subprocess.run(
        command, cwd=ROOT / "ros2_ws", env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 package finished" in done.stdout + done.stderr
    return folder / "install" / "emma"


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("ws"))


def run(command: list[str], **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=80, stdin=subprocess.DEVNULL
    )


def test_installs_what_ros_2_looks_for(prefix: Path) -> None:
    assert (prefix / "share" / "ament_index" / "resource_index" / "packages" / "emma").is_file()
    assert (prefix / "share" / "emma" / "hook" / "ament_prefix_path.sh").is_file(), "built as plain Python, not for ROS"
    share = prefix / "share" / "emma"
    for name in (
        "package.xml",
        "launch/demo.launch.py",
        "launch/params/default.yaml",
        "calibration/desk_arm/robot.yaml",
    ):
        assert (share / name).read_bytes() == (ROOT / name).read_bytes()
    executables = {path.name for path in (prefix / "lib" / "emma").iterdir() if os.access(path, os.X_OK)}
    assert executables == EXECUTABLES


def test_only_the_package_is_found(prefix: Path) -> None:
    """The link to the checkout is a package, so colcon does not go on into .venv; the policy plugin is not one."""
    done = run(
        [str(COLCON), "--log-base", str(prefix / "log"), "list", "--names-only", "--base-paths", str(ROOT / "ros2_ws")]
    )
    assert done.stdout.split() == ["emma"]


def test_sourced_setup_finds_the_package(prefix: Path) -> None:
    script = f'. "{prefix.parent}/setup.sh" && echo "$AMENT_PREFIX_PATH"'
    done = run(["sh", "-c", script], COLCON_CURRENT_PREFIX=str(prefix.parent))
    assert str(prefix) in done.stdout.strip().split(os.pathsep), done.stderr


@pytest.mark.ros
def test_executable_starts_in_the_projects_environment(prefix: Path, tmp_path: Path) -> None:
    """With another NumPy and rclpy first in PYTHONPATH, as in a sourced ROS of another build."""
    for name in ("numpy", "rclpy", "emma"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise ImportError('{name} of another build')\n")
    emma = str(prefix / "lib" / "emma" / "emma")
    done = run([emma, "doctor", "--json"], PYTHONPATH=str(tmp_path), AMENT_PREFIX_PATH=str(prefix), EMMA_PYTHON="")
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert checks["rclpy"]["status"] == "OK"
    assert str(ROOT / "src" / "emma") in checks["emma"]["found"]
    assert checks["colcon build"]["status"] == "OK"


def test_missing_environment_is_told(prefix: Path) -> None:
    done = run([str(prefix / "lib" / "emma" / "sim")], EMMA_PYTHON="/nowhere/python")
    assert done.returncode == 2
    assert "/nowhere/python cannot be run" in done.stderr
    assert "make setup" in done.stderr


def test_environment_of_a_pip_installation_is_found_beside_it(prefix: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("emma", "python"):
        (tmp_path / "bin" / name).write_text('#!/bin/sh\necho "$@"\n')
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "lib" / "emma").mkdir(parents=True)
    launcher = shutil.copy(prefix / "lib" / "emma" / "policy", tmp_path / "lib" / "emma")
    done = run([str(launcher), "--ros-args"], EMMA_PYTHON="")
    assert done.stdout.split() == ["-I", "-m", "emma.environment", "emma.ros.nodes.policy", "--ros-args"]


def test_symlink_install_has_the_executables_too(tmp_path: Path) -> None:
    prefix = build(tmp_path, "--symlink-install")
    assert {path.name for path in (prefix / "lib" / "emma").iterdir() if os.access(path, os.X_OK)} == EXECUTABLES
    assert (prefix / "share" / "emma" / "launch" / "demo.launch.py").resolve() == ROOT / "launch" / "demo.launch.py"
