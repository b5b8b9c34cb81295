"""The launch files, read as Python: every argument is explained, every executable and parameter exists.

`launch` is part of a ROS installation, not of this environment: the files are parsed, and where it is there, run.
"""

import ast
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ROOT / "launch"
FILES = sorted(LAUNCH.glob("*.launch.py"))
PARSED = [LAUNCH / "common.py", *FILES]
PARAMETERS = {
    "sim": "SimParameters",
    "policy": "PolicyParameters",
    "recorder": "RecorderParameters",
    "scripted_operator": "ScriptedOperatorParameters",
    "teleop": "TeleopParameters",
    "keys": "KeysParameters",
    "console": "ConsoleParameters",
    "web_console": "WebConsoleParameters",
    "learner": "LearnerParameters",
}


def parameters_of(node: str) -> dict[str, type]:
    """Name and default of each parameter that a node declares."""
    module = importlib.import_module(f"emma.ros.nodes.{node}")
    return {f.name: f.default for f in fields(getattr(module, PARAMETERS[node]))}


def calls(path: Path, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((k.value for k in call.keywords if k.arg == name), None)


def text(value: ast.expr | None) -> Any:
    assert isinstance(value, ast.Constant)
    return value.value


def described(path: Path) -> Any:
    """The launch description of a file, where `launch` is there."""
    # Not `launch` itself: the folder of that name here would be taken for it.
    pytest.importorskip("launch.launch_description", reason="launch comes with a ROS 2 installation")
    pytest.importorskip("launch_ros.actions", reason="launch_ros comes with a ROS 2 installation")
    spec = importlib.util.spec_from_file_location(path.stem.replace(".", "_"), path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def started(path: Path, **given: str) -> list[str]:
    """The executables that a launch with these arguments starts, its includes aside."""
    description = described(path)
    from launch import LaunchContext
    from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetLaunchConfiguration
    from launch_ros.actions import Node

    context, names = LaunchContext(), []
    context.launch_configurations.update(given)
    for entity in description.entities:
        if entity.condition is not None and not entity.condition.evaluate(context):
            continue
        if isinstance(entity, Node):
            names.append(entity.node_executable)
        elif isinstance(entity, OpaqueFunction):
            for action in entity.execute(context) or ():
                action.execute(context)
        elif isinstance(entity, DeclareLaunchArgument | SetLaunchConfiguration):
            entity.execute(context)
    return names


def test_the_promised_files_are_there() -> None:
    assert [path.name for path in FILES] == [
        "demo.launch.py",
        "deploy.launch.py",
        "improve.launch.py",
        "record.launch.py",
    ]


@pytest.mark.parametrize("path", PARSED, ids=lambda p: p.name)
def test_every_argument_has_a_default_and_a_description(path: Path) -> None:
    arguments = list(calls(path, "DeclareLaunchArgument"))
    assert arguments
    for argument in arguments:
        name = text(argument.args[0])
        description = text(keyword(argument, "description"))
        assert len(description) > 10, name
        assert description.endswith("."), name
        assert keyword(argument, "default_value") is not None, name


@pytest.mark.parametrize("path", PARSED, ids=lambda p: p.name)
def test_needs_only_what_ros_2_brings(path: Path) -> None:
    """The launch system runs in ROS' own Python, which has neither emma nor what emma needs."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        assert {name.partition(".")[0] for name in names} <= {"launch", "launch_ros"} | sys.stdlib_module_names


@pytest.mark.parametrize("path", PARSED, ids=lambda p: p.name)
def test_nodes_and_their_parameters_exist(path: Path) -> None:
    for call in calls(path, "Node"):
        node = text(keyword(call, "executable"))
        assert text(keyword(call, "name")) == node, "the YAML file and the services know nodes by their usual names"
        known = parameters_of(node)
        rows = keyword(call, "parameters")
        assert isinstance(rows, ast.List)
        for row in rows.elts:
            if isinstance(row, ast.Dict):
                given = {text(key) for key in row.keys if key is not None}
                assert given <= set(known), f"{node} has no parameters {sorted(given - set(known))}"


def test_parameter_file_fits_the_nodes() -> None:
    given = yaml.safe_load((LAUNCH / "params" / "default.yaml").read_text())
    assert set(given) <= set(PARAMETERS)
    for node, content in given.items():
        known = parameters_of(node)
        for name, value in content["ros__parameters"].items():
            assert name in known, f"{node} has no parameter {name}"
            assert type(value) is type(known[name]), f"{node}.{name}: ROS does not convert {value!r}"


def test_every_node_has_an_executable() -> None:
    from emma.ros import NODES

    tree = ast.parse((ROOT / "setup.py").read_text())
    (listed,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "NODES"
    ]
    assert set(listed) == set(NODES) == set(PARAMETERS)
    for node in NODES:
        assert callable(importlib.import_module(f"emma.ros.nodes.{node}").main)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_generates_a_description(path: Path) -> None:
    description = described(path)
    declared = {argument.name for argument in description.get_launch_arguments()}
    assert declared >= {text(call.args[0]) for call in calls(path, "DeclareLaunchArgument")}


def test_auto_starts_the_simulator_of_a_robot_that_names_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As robot.yaml says, whatever the robot is called: emma reads it, by the executable that the package installs."""
    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (index / "emma").touch()
    emma = tmp_path / "lib" / "emma" / "emma"
    emma.parent.mkdir(parents=True)
    emma.write_text(f'#!/bin/sh\nexec {sys.executable} -I -m emma "$@"\n')
    emma.chmod(0o755)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    mine = tmp_path / "my arm"
    mine.mkdir()
    text = (ROOT / "calibration" / "desk_arm" / "robot.yaml").read_text()
    (mine / "robot.yaml").write_text(text.replace("name: desk_arm", "name: mine"))
    deploy, record = LAUNCH / "deploy.launch.py", LAUNCH / "record.launch.py"
    assert started(deploy, robot=str(mine / "robot.yaml")) == ["sim", "policy", "recorder"]
    assert started(deploy, robot="franka") == ["policy", "recorder"]
    assert started(deploy, sim="false", teleop="jog") == ["policy", "teleop", "recorder"]
    assert started(record, robot="so101") == ["sim", "scripted_operator", "recorder"]
    assert started(record, teleop="leader") == ["sim", "teleop", "recorder"]
    assert started(LAUNCH / "improve.launch.py", console="true") == ["learner", "web_console"]
