"""Imports point down the list of layers, and ROS stays in its folder. docs/architecture.md says why."""

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from emma.robots import DEFAULT_ROBOT

SOURCE = Path(__file__).resolve().parents[1] / "src"

# From bottom to top. Modules that share a layer do not know each other, except within the base and the entry points.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset(
        {
            "arrays",
            "environment",
            "errors",
            "files",
            "frozen_cameras",
            "long_work",
            "messages",
            "observation",
            "progress",
        }
    )
    | frozenset(
        {"device", "gl", "interrupts", "options", "progress", "provenance", "records", "resources", "robots", "signs"}
    )
    | frozenset({"stats", "streams", "worker_pool"}),
    frozenset({"adamix", "bags", "datasets", "policy"}),
    frozenset({"calibrate", "control", "conversion", "dreamtransfer", "human", "recording"}),
    frozenset({"augmentation", "sim", "teleop", "training"}),
    frozenset({"envs"}),
    frozenset({"bench"}),
    frozenset({"cycle"}),
    frozenset({"ros"}),
    frozenset({"console", "sessions"}),
    frozenset({"view"}),
    frozenset({"ros.nodes"}),
    frozenset({"ros.load"}),
    frozenset({"__main__", "api", "cli", "commands", "doctor"}),
)
KNOW_EACH_OTHER = (LAYERS[0], LAYERS[-1])
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

ROS = frozenset(
    {"rclpy", "rcl_interfaces", "rosidl_runtime_py", "builtin_interfaces", "std_srvs", "ament_index_python"}
)
PLUGIN = SOURCE / "lerobot_policy_spatial_flow" / "lerobot_policy_spatial_flow"


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, at the top or inside a function, by its full name."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; name the module in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules() -> list[Path]:
    return sorted((SOURCE / "emma").rglob("*.py"))


def layer_of(parts: Sequence[str]) -> str:
    """`policy.safety` -> policy; `observation` -> observation; the nodes stand above the ROS helpers: `ros.nodes`."""
    pair = ".".join(parts[:2])
    return pair if pair in LEVEL else parts[0]


def layer_name(path: Path) -> str:
    """The layer of a file below src/emma."""
    return layer_of(path.relative_to(SOURCE / "emma").with_suffix("").parts)


def test_every_module_has_a_layer() -> None:
    unplaced = {layer_name(path) for path in modules()} - set(LEVEL) - {"__init__"}
    assert not unplaced, f"say in LAYERS where {sorted(unplaced)} belongs"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_down(path: Path) -> None:
    mine = layer_name(path)
    if mine == "__init__":
        return
    for name in imports(path):
        root, _, rest = name.partition(".")
        theirs = layer_of(rest.split("."))
        if root != "emma" or theirs == mine or theirs not in LEVEL:
            continue
        down = LEVEL[theirs] < LEVEL[mine]
        beside = any(mine in group and theirs in group for group in KNOW_EACH_OTHER)
        assert down or beside, f"{mine} imports {name}: {theirs} is not below it"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_ros_stays_in_one_folder(path: Path) -> None:
    if layer_name(path).partition(".")[0] == "ros":
        return
    for name in imports(path):
        root = name.partition(".")[0]
        assert root not in ROS, f"only emma.ros may import {root}"
        assert not root.endswith("_msgs"), f"only emma.ros may import {root}"


@pytest.mark.parametrize("path", sorted(PLUGIN.glob("*.py")), ids=lambda p: p.name)
def test_policy_plugin_needs_what_lerobot_brings_only(path: Path) -> None:
    allowed = {"lerobot", "lerobot_policy_spatial_flow", "numpy", "tokenizers", "torch"} | sys.stdlib_module_names
    assert {name.partition(".")[0] for name in imports(path)} <= allowed


# Where robots and their simulators are told apart, and which robot is meant where none is named.
NAMING = (SOURCE / "emma" / "robots" / "simulators.py", SOURCE / "emma" / "robots" / "__init__.py")


def compared(tree: ast.AST) -> set[str]:
    """Every text that a comparison or a case of a match holds."""
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Compare | ast.MatchValue))
    return {
        inner.value
        for node in found
        for inner in ast.walk(node)
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str)
    }


def texts(tree: ast.AST) -> set[str]:
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


@pytest.mark.parametrize("path", [p for p in modules() if p not in NAMING], ids=lambda p: str(p.relative_to(SOURCE)))
def test_no_module_decides_by_a_robots_name(path: Path) -> None:
    """What a robot has, its robot.yaml says: a copy under another name is the same robot."""
    tree = ast.parse(path.read_text(), str(path))
    robots = {file.parent.name for file in (SOURCE.parent / "calibration").glob("*/robot.yaml")}
    assert robots
    assert not compared(tree) & robots
    assert DEFAULT_ROBOT not in texts(tree), "import emma.robots.DEFAULT_ROBOT"


def test_a_comparison_with_a_name_would_be_seen() -> None:
    tree = ast.parse('if spec.name == "desk_arm" or name in ("so101",):\n    pass\n')
    assert compared(tree) == {"desk_arm", "so101"}


def protocol_members() -> set[str]:
    """The names that our Protocols declare."""
    nodes = (node for path in modules() for node in ast.walk(ast.parse(path.read_text())))
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    bodies = [cls.body for cls in classes if any(ast.unparse(base).startswith("Protocol") for base in cls.bases)]
    functions = {node.name for body in bodies for node in body if isinstance(node, ast.FunctionDef)}
    return functions | {ast.unparse(node.target) for body in bodies for node in body if isinstance(node, ast.AnnAssign)}


def guesses(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of every `hasattr(x, "name")` and `getattr(x, "name", default)`."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) > 1:
            guess = node.func.id == "hasattr" or (node.func.id == "getattr" and len(node.args) == 3)
            if guess and isinstance(node.args[1], ast.Constant):
                yield node.lineno, str(node.args[1].value)


def test_what_a_protocol_declares_is_not_asked_for_with_getattr() -> None:
    members = protocol_members()
    assert {"past_s", "note", "isolated", "needs_depth", "sign"} <= members
    # Messages of ROS have these, too: a pose array, here.
    members.remove("poses")
    found = [f"{path}:{line}: {name}" for path in modules() for line, name in guesses(path) if name in members]
    assert not found, "a Protocol promises it, so read it: " + ", ".join(found)


def test_a_wrong_import_would_be_seen(tmp_path: Path) -> None:
    lazy = tmp_path / "lazy.py"
    lazy.write_text("def f():\n    import rclpy.node\n    from emma.ros.nodes import sim\n")
    assert list(imports(lazy)) == ["rclpy.node", "emma.ros.nodes.sim"]
