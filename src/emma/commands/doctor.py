"""`emma doctor`: what is in use here, what is wrong, and the fix."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emma.doctor import Check

HELP = """show what is in use on this machine, what is wrong with it, and how to fix it

Looks at Python and its packages, torch and GPU libraries, rclpy, NumPy and middleware, who hears whom on the network,
a sourced ROS installation and colcon build, rendering, disk, shared memory and
clock. Exit code 1 if anything fails.
"""
NARROW = 70
COLOURS = {"OK": "green", "WARN": "yellow", "FAIL": "bold red"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace) -> int:
    import json

    from emma import signs
    from emma.doctor import Status, examine

    with signs.doing("trying a node, torch and OpenGL"):
        checks = examine()
    failed = any(check.status is Status.FAIL for check in checks)
    if args.json:
        print(json.dumps([check.to_json() for check in checks], indent=2))
        return int(failed)
    _show(checks)
    return int(failed)


def _show(checks: "list[Check]") -> None:
    """A table, or below `NARROW` columns one finding below the other. Nothing is cut off."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for check in checks:
        status, name = Text(check.status, COLOURS[check.status]), Text(check.name, "bold")
        texts = [Text(check.found, overflow="fold")]
        if check.fix:
            texts.append(Text(f"to do: {check.fix}", COLOURS[check.status], overflow="fold"))
        if console.width >= NARROW:
            for number, text in enumerate(texts):
                table.add_row(*(("", "") if number else (status, name)), text)
            continue
        console.print(status + Text(" ") + name)
        for text in texts:
            console.print(Padding(text, (0, 0, 0, 2)))
    if console.width >= NARROW:
        console.print(table)
