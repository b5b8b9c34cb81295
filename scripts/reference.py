"""Writes docs/reference from the code: commands, configuration, nodes, Python API, files. --check: only compare.

usage: .venv/bin/python scripts/reference.py [--check]
"""

import argparse
import ast
import importlib
import inspect
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_type_hints

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
NODES = ROOT / "src" / "emma" / "ros" / "nodes"
MADE = "<!-- Written by scripts/reference.py from the code: change the code, then run `make docs`. -->\n"
COLUMNS = "100"
# Methods of rclpy's Node that make an interface: what it is called, and the places of type, name and QoS.
INTERFACES = {
    "create_publisher": ("publishes", 0, 1, 2),
    "create_subscription": ("subscribes", 0, 1, 3),
    "create_service": ("service", 0, 1, None),
    "create_client": ("calls", 0, 1, None),
}


def commands() -> str:
    """The help of every verb, at a fixed width."""
    os.environ["COLUMNS"] = COLUMNS
    os.environ["NO_COLOR"] = "1"
    from emma.cli import build_parser

    text = f"{MADE}\n# Commands\n\nEvery verb's `--help`.\n"
    for name, parser in _verbs(build_parser()):
        text += f"\n## {name}\n\n```text\n{parser.format_help().strip()}\n```\n"
    return text


def _verbs(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield inner.prog, inner
                yield from _verbs(inner)


def configuration() -> str:
    """robot.yaml, improve.yaml, and the options of a training."""
    from emma.cycle.config import example
    from emma.robots import command_groups, parts, spec, units
    from emma.training.config import TrainConfig

    text = f"{MADE}\n# Configuration\n\n## robot.yaml\n\n`calibration/<robot>/robot.yaml`, read strictly: unknown keys "
    text += "are refused.\n"
    inner = [cls for module in (parts, units, command_groups) for cls in _dataclasses(module, skip=())]
    for cls in (spec.RobotSpec, *inner):
        text += f"\n### {cls.__name__}\n\n{_doc(cls)}\n\n{_table(cls)}"
    text += f"\n## improve.yaml\n\n```yaml\n{example()}```\n"
    return text + f"\n## Options of a training\n\n{_doc(TrainConfig)}\n\n{_table(TrainConfig)}"


def nodes() -> str:
    """Parameters, topics and services of every node."""
    text = f"{MADE}\n# Nodes\n\nStart one with `emma node NAME --ros-args -p PARAMETER:=VALUE`. Names in italics "
    text += "come from `robot.yaml` or a parameter.\n"
    for path in sorted(NODES.glob("*.py")):
        module = importlib.import_module(f"emma.ros.nodes.{path.stem}")
        if not hasattr(module, "main"):
            continue
        text += f"\n## {path.stem}\n\n{_paragraph(inspect.getdoc(module) or '')}\n"
        for cls in _parameter_classes(module):
            text += f"\n{_table(cls)}"
        rows = sorted(set(_interfaces(module)))
        if rows:
            text += "\n| | name | type | QoS |\n|---|---|---|---|\n" + "".join(
                f"| {' | '.join(row)} |\n" for row in rows
            )
    return text


def _parameter_classes(module: Any) -> list[type]:
    found = [value for name, value in vars(module).items() if inspect.isclass(value) and name.endswith("Parameters")]
    return [cls for cls in found if cls.__module__.startswith("emma.ros.nodes")]


def _interfaces(module: Any) -> Iterator[tuple[str, str, str, str]]:
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr not in INTERFACES:
            continue
        what, kind, name, qos = INTERFACES[node.func.attr]
        if len(node.args) <= name:
            continue
        quality = ast.unparse(node.args[qos]) if qos is not None and len(node.args) > qos else ""
        yield what, _name(node.args[name], module), f"`{ast.unparse(node.args[kind])}`", quality.removeprefix("qos.")


def _name(expression: ast.expr, module: Any) -> str:
    """A topic as its text, or in italics where only a running node knows it."""
    if isinstance(expression, ast.Constant):
        return f"`{expression.value}`"
    if isinstance(expression, ast.Name) and isinstance(vars(module).get(expression.id), str):
        return f"`{vars(module)[expression.id]}`"
    return f"*{ast.unparse(expression).removeprefix('self.').lstrip('_')}*"


def api() -> str:
    """What `import emma` offers, and the classes that its functions take and return."""
    import emma
    from emma.augmentation.config import AugmentConfig, AugmentReport
    from emma.augmentation.tools import ToolOptions
    from emma.conversion.config import ConvertConfig
    from emma.conversion.convert import ConvertReport
    from emma.cycle.cycle import Outcome
    from emma.robots.kinematics import Kinematics, Solution
    from emma.sim.collect import CollectConfig
    from emma.sim.evaluate import EvalConfig, EvalResult

    text = f"{MADE}\n# Python API\n\n`examples/` holds six scripts that use it.\n"
    for name in emma.__all__:
        value = getattr(emma, name)
        if inspect.isclass(value):
            text += _class(value)
        else:
            text += f"\n## emma.{name}\n\n```python\n{_signature(name, value)}\n```\n\n{_doc(value)}\n"
    text += "\n# Classes\n"
    classes = (ConvertConfig, ConvertReport, ToolOptions, AugmentConfig, AugmentReport, CollectConfig)
    for cls in (*classes, EvalConfig, EvalResult, Outcome, Kinematics, Solution):
        text += _class(cls)
    return text


def _class(cls: type) -> str:
    text = f"\n## {cls.__module__}.{cls.__name__}\n\n{_doc(cls)}\n"
    if hasattr(cls, "__dataclass_fields__"):
        text += f"\n{_table(cls)}"
    for name, member in vars(cls).items():
        if name.startswith("_") or not (inspect.isfunction(member) or isinstance(member, classmethod)):
            continue
        if inspect.getdoc(member):
            function = getattr(member, "__func__", member)
            text += f"\n```python\n{_signature(name, function)}\n```\n\n{_doc(function)}\n"
    return text


def _signature(name: str, function: Any) -> str:
    text = str(inspect.signature(function))
    text = re.sub(r"\bself, |\bcls, |\(self\)|\(cls\)", lambda m: "()" if m[0].startswith("(") else "", text)
    # Annotations that are not evaluated are shown as they are written.
    text = re.sub(r"(?<=: |> )'([^']*)'", r"\1", text)
    text = re.sub(r"\b(?:pathlib|collections\.abc|typing|numpy)\.", "", text)
    return f"{name}{text}"


def files() -> str:
    """What lies on disk, with the records' versions and fields."""
    from emma.bags.episode import EpisodeMeta
    from emma.policy.bundle import BundleInfo

    text = f"{MADE}\n# Files on disk\n"
    for title, cls in (
        ("episode.yaml, beside each bag", EpisodeMeta),
        ("emma.json, in each policy bundle", BundleInfo),
    ):
        text += f"\n## {title}\n\n{_doc(cls)}\n\n{_table(cls)}"
    return text


def _dataclasses(module: Any, skip: Sequence[str]) -> list[type]:
    return [
        value
        for name, value in vars(module).items()
        if hasattr(value, "__dataclass_fields__") and value.__module__ == module.__name__ and name not in skip
    ]


def _doc(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").strip()


def _paragraph(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split())


def _table(cls: Any) -> str:
    """Fields with type, default and, where it has one, the help of an option or parameter."""
    hints, rows = _hints(cls), []
    for spec in fields(cls):
        if spec.name.startswith("_") or spec.name == "folder":
            continue
        about = spec.metadata.get("option") or spec.metadata.get("parameter")
        text = getattr(about, "help", None) or getattr(about, "description", "") or ""
        if about is not None and about.choices and about.choices[0] not in text:
            text += f" ({', '.join(about.choices)})"
        rows.append((f"`{spec.name}`", f"`{_type(hints[spec.name])}`", _default(spec), text.replace("|", "\\|")))
    explained = any(row[3] for row in rows)
    head = ("name", "type", "default", "") if explained else ("name", "type", "default")
    lines = [head, ("---",) * len(head), *(row[: len(head)] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _hints(cls: Any) -> dict[str, Any]:
    try:
        return get_type_hints(cls)
    except NameError:  # a module that imports its types for type checkers alone
        return {spec.name: spec.type for spec in fields(cls)}


def _type(hint: Any) -> str:
    text = hint.__name__ if inspect.isclass(hint) and not getattr(hint, "__args__", None) else str(hint)
    return re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Za-z])", "", text).replace("|", "\\|")


def _default(spec: Any) -> str:
    if spec.default is MISSING and spec.default_factory is MISSING:
        return "required"
    value = spec.default if spec.default_factory is MISSING else spec.default_factory()
    if hasattr(value, "__dataclass_fields__"):
        return "its defaults"
    return f"`{value!r}`" if "/" not in str(value) or not str(value).startswith(str(ROOT)) else ""


PAGES = {"commands": commands, "configuration": configuration, "nodes": nodes, "api": api, "files": files}


def main() -> int:
    check, stale = "--check" in sys.argv[1:], []
    for name, make in PAGES.items():
        file, text = REFERENCE / f"{name}.md", make()
        if check and (not file.is_file() or file.read_text() != text):
            stale.append(file.name)
        elif not check:
            file.write_text(text)
    if stale:
        print(f"not as the code has it: {', '.join(stale)}; run `make docs`", file=sys.stderr)
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
