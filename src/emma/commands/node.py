"""`emma node`: one ROS node in this environment."""

import argparse
import sys

HELP = """start one ROS node, with ROS arguments

examples:
  emma node sim --ros-args -p seed:=3
  emma node sim --ros-args -p robot:=so101
  emma node policy --ros-args -p policy:=models/desk_arm_source
  emma node recorder --ros-args -p root:=bags
"""
NAMES = (
    *("sim", "policy", "recorder", "scripted_operator"),
    *("teleop", "keys", "console", "web_console", "learner"),
)


# The node answers signals itself, with an exit code of its own.
SERVES = True


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("ros", nargs=argparse.REMAINDER, help="--ros-args and what follows it")


def run(args: argparse.Namespace) -> int:
    import importlib

    sys.argv = [args.name, *args.ros]
    code: int = importlib.import_module(f"emma.ros.nodes.{args.name}").main()
    return code
