"""Command groups of a spec against who listens on their topics."""

from collections.abc import Iterator

from emma.robots.command_groups import COMMAND_KINDS, GRIPPER_ACTION, CommandGroup
from emma.robots.findings import Finding, Level
from emma.robots.heard import Heard
from emma.robots.spec import RobotSpec


def check_commands(spec: RobotSpec, heard: Heard) -> Iterator[Finding]:
    """Topic, type, listeners, QoS, joints and their order, and who else commands, of every group."""
    for group in spec.command_groups:
        yield from _check_action(spec, group, heard) if group.kind == "gripper_action" else _check(spec, group, heard)


def _check(spec: RobotSpec, group: CommandGroup, heard: Heard) -> Iterator[Finding]:
    topic, file = group.topic, spec.folder / "robot.yaml"
    seen = heard.traffic.get(topic)
    listening = [name for name, each in heard.traffic.items() if each.subscribers and each.type == group.type]
    if seen is None or (seen.type == group.type and not seen.subscribers):
        yield Finding(
            what=topic,
            found=f"no subscriber there; {group.type} is taken on {', '.join(listening) or 'no topic'}",
            expected="a controller that takes commands",
            fix=f"activate the controller, or correct topic and kind of the command in {file}",
        )
        return
    if seen.type != group.type:
        kinds = [kind for kind, name in COMMAND_KINDS.items() if name == seen.type]
        yield Finding(
            what=topic,
            found=f"type {seen.type}",
            expected=f"{group.type} (kind {group.kind})",
            fix=f"set kind to {kinds[0] if kinds else 'what the controller takes'} in {file}",
        )
        return
    if seen.wants_latched:
        yield Finding(
            what=topic,
            found=f"{', '.join(seen.wants_latched)} wants transient local commands",
            expected="volatile, as commands are published",
            fix="change the durability of the controller's subscription: a command kept for later is a danger",
        )
    if seen.count and seen.publishers:
        yield Finding(
            what=topic,
            found=f"{', '.join(seen.publishers)} sent {seen.count} commands",
            expected="no other commander while a policy runs",
            fix="end it before a policy is enabled",
            level=Level.WARNING,
        )
    yield from _check_joints(spec, group, heard)


def _check_joints(spec: RobotSpec, group: CommandGroup, heard: Heard) -> Iterator[Finding]:
    theirs = heard.controllers.get(group.topic)
    if theirs is None:
        return
    ours = tuple(spec.message_name(name) for name in group.joints)
    ordered = group.kind == "forward_position"
    if theirs == ours or (not ordered and set(theirs) == set(ours)):
        return
    kind = "in this order, since the message has no names" if ordered else "the same joints"
    yield Finding(
        what=group.topic,
        found=f"the controller takes {', '.join(theirs)}",
        expected=f"{', '.join(ours)}, {kind}",
        fix=f"list the group's joints as the controller does, in {spec.folder / 'robot.yaml'}",
    )


def _check_action(spec: RobotSpec, group: CommandGroup, heard: Heard) -> Iterator[Finding]:
    kind = heard.actions.get(group.topic)
    if kind == GRIPPER_ACTION:
        return
    grippers = [name for name, each in heard.actions.items() if each == GRIPPER_ACTION]
    yield Finding(
        what=group.topic,
        found=f"{'no action of that name' if kind is None else kind}; gripper actions: {', '.join(grippers) or 'none'}",
        expected=GRIPPER_ACTION,
        fix=f"start the gripper's controller, or correct the group in {spec.folder / 'robot.yaml'}",
    )
