"""A sourced ROS installation of another build does not reach our processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from emma.environment import SET_ASIDE, cleaned, foreign_libraries

SOURCE = Path(__file__).resolve().parents[1] / "src"


@pytest.fixture
def sourced(tmp_path: Path) -> dict[str, str]:
    """The environment after sourcing a ROS whose rclpy, NumPy and libraries would break us."""
    prefix = tmp_path / "opt" / "ros" / "jazzy"
    site = prefix / "lib" / "python3.12" / "site-packages"
    for name in ("numpy", "rclpy", "sensor_msgs", "yaml"):
        (site / name).mkdir(parents=True)
        (site / name / "__init__.py").write_text(f"raise ImportError('{name} of another build')\n")
    for name in ("librcl.so", "librcutils.so", "librmw_implementation.so"):
        (prefix / "lib" / name).write_text("not for this process\n")
    environ = {k: v for k, v in os.environ.items() if k not in ("_ROS_WHEELS_BOOTSTRAP_COMPLETE", "LD_LIBRARY_PATH")}
    return {
        **environ,
        "PYTHONPATH": str(site),
        "LD_LIBRARY_PATH": f"{prefix / 'lib'}{os.pathsep}{tmp_path}",
        "AMENT_PREFIX_PATH": str(prefix),
        "ROS_DISTRO": "jazzy",
        "ROS_VERSION": "2",
    }


def run(arguments: list[str], environ: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(arguments, env=environ, capture_output=True, text=True, timeout=80, stdin=subprocess.DEVNULL)


def test_the_trap_is_real(sourced: dict[str, str]) -> None:
    result = run([sys.executable, "-c", "import numpy"], sourced)
    assert "numpy of another build" in result.stderr


def test_cleaned_removes_and_remembers(sourced: dict[str, str], tmp_path: Path) -> None:
    result = cleaned(sourced)
    assert "PYTHONPATH" not in result
    assert result["LD_LIBRARY_PATH"] == str(tmp_path)
    site, libraries = result[SET_ASIDE].split(os.pathsep)
    assert site == sourced["PYTHONPATH"]
    assert libraries == sourced["LD_LIBRARY_PATH"].split(os.pathsep)[0]
    assert cleaned(result) == result
    assert result["ROS_DISTRO"] == "jazzy"


def test_cleaned_leaves_a_clean_environment_alone() -> None:
    environ = {"PATH": "/usr/bin", "LD_LIBRARY_PATH": "/usr/local/cuda/lib64", "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1"}
    assert cleaned(environ) == environ


def test_libraries_of_another_environment_make_the_wheels_start_anew(tmp_path: Path) -> None:
    other = tmp_path / "other" / "ros_rcl.libs"
    other.mkdir(parents=True)
    (other / "librcl-1a2b.so.1").touch()
    result = cleaned({"LD_LIBRARY_PATH": str(other), "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1"}, prefix=tmp_path / "mine")
    assert result == {"LD_LIBRARY_PATH": "", SET_ASIDE: str(other)}
    assert not foreign_libraries(other, tmp_path / "other", {})


def test_an_environment_behind_a_link_is_its_own(tmp_path: Path) -> None:
    libraries = tmp_path / "venv" / "ros_rcl.libs"
    libraries.mkdir(parents=True)
    (libraries / "librcl-1a2b.so.1").touch()
    (tmp_path / "link").symlink_to("venv")
    assert not foreign_libraries(libraries, tmp_path / "link", {})
    assert not foreign_libraries(tmp_path / "link" / "ros_rcl.libs", tmp_path / "venv", {})


def test_what_is_put_back_at_every_start_does_not_go_round_for_ever(sourced: dict[str, str]) -> None:
    path = sourced["PYTHONPATH"]
    again = f"import os, sys; sys.path.insert(0, {str(SOURCE)!r}); os.environ['PYTHONPATH'] = {path!r}"
    code = f"{again}; from emma.environment import isolate; isolate(); print('here')"
    result = run([sys.executable, "-I", "-c", code], sourced)
    assert result.stdout == "here\n", result.stderr


@pytest.mark.ros
def test_a_node_starts(sourced: dict[str, str]) -> None:
    result = run([sys.executable, "-I", "-m", "emma.environment", "emma.ros.probe"], sourced)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert Path(found["path"]).is_relative_to(sys.prefix)
    assert Path(found["numpy_path"]).is_relative_to(sys.prefix)


@pytest.mark.ros
def test_the_command_starts_and_its_doctor_tells(sourced: dict[str, str]) -> None:
    result = run([str(Path(sys.prefix) / "bin" / "emma"), "doctor", "--json"], sourced)
    checks = {check["name"]: check for check in json.loads(result.stdout)}
    assert checks["rclpy"]["status"] == "OK"
    assert checks["sourced ROS"]["found"] == "jazzy, 1 prefixes; 2 of its Python and library folders set aside"


def test_arguments_reach_the_module(sourced: dict[str, str]) -> None:
    module = [sys.executable, "-I", "-m", "emma.environment"]
    shown = run([*module, "json.tool", "--help"], sourced)
    assert "--sort-keys" in shown.stdout
    missing = run(module, sourced)
    assert missing.returncode != 0
    assert "usage" in missing.stderr
