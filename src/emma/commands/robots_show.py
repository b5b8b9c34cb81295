"""What `emma robots` prints: the list of robots, one robot, what was written, and what does not fit."""

from typing import Any


def show_list(console: Any) -> None:
    """A line for each robot that ships."""
    from rich.table import Table

    from emma.robots.spec import list_robots, load_robot

    table = Table(box=None)
    for column in ("robot", "joints", "cameras", "control", "description"):
        table.add_column(column)
    for name in list_robots():
        spec = load_robot(name)
        cameras = ", ".join(spec.camera_names) or "none"
        table.add_row(name, str(len(spec.joints)), cameras, f"{spec.control_rate_hz:g} Hz", spec.description)
    console.print(table)


def show_robot(console: Any, spec: Any) -> None:
    """Joints with limits, cameras, groups and topics of one robot."""
    from rich.markup import escape
    from rich.table import Table

    console.print(f"[bold]{escape(spec.name)}[/]  {escape(spec.description)}")
    driven = f"simulator {spec.simulator}" if spec.simulator else "drivers of its own"
    rates = f"control {spec.control_rate_hz:g} Hz, dataset {spec.fps} fps"
    console.print(f"{spec.folder}; {driven}; {rates}\n", highlight=False)
    joints = Table(box=None)
    for column in ("joint", "unit", "lower", "upper", "velocity", "acceleration", "in messages"):
        joints.add_column(column)
    for joint in spec.joints:
        limits = (joint.lower, joint.upper, joint.velocity, joint.acceleration)
        told = " ".join(word for word in (joint.message.name, joint.message.unit) if word)
        joints.add_row(joint.name, joint.unit, *(f"{value:g}" for value in limits), told)
    console.print(joints)
    cameras = Table(box=None)
    for column in ("camera", "size", "rate", "transport", "depth"):
        cameras.add_column(column)
    for camera in spec.cameras:
        size, rate = f"{camera.width} x {camera.height}", f"{camera.rate_hz:g} Hz"
        cameras.add_row(camera.name, size, rate, camera.transport, "yes" if camera.depth_topic else "no")
    console.print(cameras)
    groups = Table(box=None)
    for column in ("command group", "topic", "kind", "joints", "rate"):
        groups.add_column(column)
    for group in spec.command_groups:
        rate = f"{group.rate_hz or spec.control_rate_hz:g} Hz"
        groups.add_row(group.name, group.topic, group.kind, str(len(group.joints)), rate)
    console.print(groups)
    topics = Table(box=None)
    for column in ("topic", "message type"):
        topics.add_column(column)
    for topic, kind in spec.topics().items():
        topics.add_row(topic, kind)
    console.print(topics)


def say_new(folder: Any, made: Any) -> None:
    """What `emma robots new` wrote, from where, and what is left to a person."""
    print(f"\nwrote {folder}:")
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.parent.name != "meshes":
            print(f"  {path.relative_to(folder)}")
    print("\ntaken from:")
    for line in made.taken:
        print(f"  {line}")
    for line in made.notes:
        print(f"  note: {line}")
    print(f"\n{len(made.questions)} questions are open in {folder / 'robot.yaml'}:")
    for number, question in enumerate(made.questions, 1):
        print(f"  {number}. {question}")
    print(
        "\nbefore power is on, a person checks:\n"
        "  - limits and signs: move each joint by hand, or jog it slowly, and watch its sign in the joint states\n"
        "  - velocity and acceleration against the data sheet, and that the driver has limits of its own\n"
        "  - that the emergency stop cuts power, and that nobody stands within reach\n"
        f"\nnext: answer the questions, then emma robots check {folder}"
    )


def say_report(spec: Any, report: Any) -> None:
    """What `emma robots check` found."""
    for line in report.checked:
        print(f"fits: {line}")
    for finding in report.findings:
        print(f"\n{finding}")
    warnings = len(report.findings) - report.errors
    print(f"\n{spec.name}: {report.errors} mismatches, {warnings} warnings")
