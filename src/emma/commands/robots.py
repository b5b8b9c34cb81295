"""`emma robots`: which robots there are, and what each is."""

import argparse
from typing import Any

HELP = """list the robots, or show one: joints with limits, cameras, topics

examples:
  emma robots                      all that ship
  emma robots desk_arm             one of them
  emma robots path/to/robot.yaml   check a file of your own
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("robot", nargs="?", help="name of a robot, or path to a robot.yaml")


def run(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from emma.robots.spec import list_robots, load_robot

    console = Console()
    if args.robot:
        _show(console, load_robot(args.robot))
        return 0
    table = Table(box=None)
    for column in ("robot", "joints", "cameras", "control", "description"):
        table.add_column(column)
    for name in list_robots():
        spec = load_robot(name)
        cameras = ", ".join(spec.camera_names) or "none"
        table.add_row(name, str(len(spec.joints)), cameras, f"{spec.control_rate_hz:g} Hz", spec.description)
    console.print(table)
    return 0


def _show(console: Any, spec: Any) -> None:
    from rich.markup import escape
    from rich.table import Table

    console.print(f"[bold]{escape(spec.name)}[/]  {escape(spec.description)}")
    console.print(f"{spec.folder}; control {spec.control_rate_hz:g} Hz, dataset {spec.fps} fps\n", highlight=False)
    joints = Table(box=None)
    for column in ("joint", "unit", "lower", "upper", "velocity", "acceleration"):
        joints.add_column(column)
    for joint in spec.joints:
        limits = (joint.lower, joint.upper, joint.velocity, joint.acceleration)
        joints.add_row(joint.name, joint.unit, *(f"{value:g}" for value in limits))
    console.print(joints)
    cameras = Table(box=None)
    for column in ("camera", "size", "rate", "transport", "depth"):
        cameras.add_column(column)
    for camera in spec.cameras:
        size, rate = f"{camera.width} x {camera.height}", f"{camera.rate_hz:g} Hz"
        cameras.add_row(camera.name, size, rate, camera.transport, "yes" if camera.depth_topic else "no")
    console.print(cameras)
    topics = Table(box=None)
    for column in ("topic", "message type"):
        topics.add_column(column)
    for topic, kind in spec.topics().items():
        topics.add_row(topic, kind)
    console.print(topics)
