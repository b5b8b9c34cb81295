"""`emma doctor`: what is in use here, what is wrong, and the fix."""

import argparse

HELP = """say what is in use on this machine, what is wrong with it, and how to mend it

Looks at Python and its packages, torch and GPU libraries, rclpy, NumPy and middleware, who hears whom on the network,
a sourced ROS installation and colcon build, rendering, disk and shared memory. Exit code 1 if anything fails.
"""
COLOURS = {"OK": "green", "WARN": "yellow", "FAIL": "bold red"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace) -> int:
    import json

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from emma.doctor import Status, examine

    checks = examine()
    failed = any(check.status is Status.FAIL for check in checks)
    if args.json:
        print(json.dumps([check.to_json() for check in checks], indent=2))
        return int(failed)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for check in checks:
        table.add_row(Text(check.status, COLOURS[check.status]), Text(check.name, "bold"), Text(check.found))
        if check.fix:
            table.add_row("", "", Text(f"to do: {check.fix}", COLOURS[check.status]))
    Console().print(table)
    return int(failed)
