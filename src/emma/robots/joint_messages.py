"""Joint messages to arrays and back, in the order, names and units of a RobotSpec.

Works alike on rclpy messages and on messages that `rosbags` read from a bag.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emma.arrays import Array
from emma.errors import EmmaError
from emma.robots.command_groups import CommandGroup, StateTopic
from emma.robots.spec import RobotSpec

# A position further outside of the limits than their whole span is no position of that joint in that unit.
BEYOND_SPANS = 1.0


def decode_state(message: Any, spec: RobotSpec) -> Array:
    """(J,) float32 joint positions in the spec's order from one JointState with all of them. Raises EmmaError."""
    return merge_states([message], spec)[0]


def merge_states(
    newest_first: Iterable[Any], spec: RobotSpec, state: StateTopic | None = None
) -> tuple[Array, list[int]]:
    """(J,) float32 joint positions of JointStates that may hold a part of the joints each, and which were needed.

    state: the topic that they came on, whose joints are given, in its order; None for the robot's first one. Each joint
    has its newest position; messages of other joints are passed over. Raises EmmaError for a joint without any
    position, or that a driver of all joints left out since.
    """
    state = state or spec.state_topics[0]
    all_of_them = {spec.message_name(name) for name in state.joints}
    found: dict[str, float] = {}
    wanted, latest = set(all_of_them), ""
    needed: list[int] = []
    for number, message in enumerate(newest_first):
        positions = named_positions(message.name, message.position, state.topic)
        latest = latest or f"{len(message.position)} positions for {', '.join(message.name) or 'no names'}"
        if found and positions.keys() >= all_of_them:
            # One driver that sent all joints and now leaves some out: those are missing, not sent by another.
            break
        fresh = {name: value for name, value in positions.items() if name in wanted}
        if fresh:
            found |= fresh
            wanted -= fresh.keys()
            needed.append(number)
        if not wanted:
            break
    return _in_order(found, spec, state.joints, state.topic, latest).astype(np.float32), needed


@dataclass(frozen=True)
class CommandedMotion:
    """Where one command sends the joints of a group: times_s (N,) from its start, positions (N, G).

    One point is a target, which stands for the command at once; several are a trajectory.
    """

    times_s: Array
    positions: Array

    def at(self, elapsed_s: float, start: Array | None = None) -> Array:
        """(G,) float32: the commanded positions after `elapsed_s`, linear between points, the last one after the end.

        start: (G,) where the joints were when the trajectory began, for the time before its first point.
        """
        times, positions = self.times_s, self.positions
        if len(times) == 1 or elapsed_s >= times[-1]:
            return np.asarray(positions[-1], np.float32)
        if start is not None and times[0] > 0:
            times, positions = np.insert(times, 0, 0.0), np.vstack([start, positions])
        return np.array([np.interp(elapsed_s, times, column) for column in positions.T], np.float32)

    @property
    def needs_start(self) -> bool:
        """Whether `at` depends on where the joints were: the first of several points lies after the start."""
        return len(self.times_s) > 1 and self.times_s[0] > 0


def decode_motion(message: Any, spec: RobotSpec, group: CommandGroup | None = None) -> CommandedMotion:
    """The motion that a command message asks for, float32, in the order of `spec.led(group)`. Raises EmmaError.

    group: None for the robot's first one.
    """
    motion = exact_motion(message, spec, group)
    return CommandedMotion(motion.times_s, motion.positions.astype(np.float32))


def exact_motion(message: Any, spec: RobotSpec, group: CommandGroup | None = None) -> CommandedMotion:
    """`decode_motion` in double precision."""
    group = group or spec.command_groups[0]
    topic = group.recorded_topic
    if group.kind == "joint_trajectory":
        return _trajectory(message, spec, group)
    if group.kind in ("joint_state", "gripper_action"):
        found = named_positions(message.name, message.position, topic)
        target = _of_group(found, spec, group, f"{len(message.position)} positions for {', '.join(message.name)}")
    else:
        values = np.atleast_1d(np.asarray(message.data, dtype=np.float64))
        if len(values) != len(group.joints):
            raise EmmaError(f"wrong command size on {topic}", found=len(values), expected=f"{len(group.joints)} values")
        names = [spec.message_name(name) for name in group.joints]
        target = _of_group(dict(zip(names, values, strict=True)), spec, group, f"{len(values)} values")
    return CommandedMotion(np.zeros(1), target[None])


def decode_command(message: Any, spec: RobotSpec, group: CommandGroup | None = None) -> Array:
    """(G,) float32 joint targets at the start of a command, in the order of `spec.led(group)`. Raises EmmaError."""
    return np.asarray(decode_motion(message, spec, group).positions[0], np.float32)


def encode_command(position: Array, spec: RobotSpec, group: CommandGroup) -> Array:
    """(J,) joint targets -> float64 values of a message for `group`, in its order, units and with its mimics."""
    values = []
    for name in group.joints:
        mimic = spec.mimic(name)
        if mimic is not None:
            values.append(mimic.multiplier * float(position[spec.index(mimic.joint)]) + mimic.offset)
            continue
        a, b = spec.joint(name).scale
        value = float(position[spec.index(name)])
        values.append(value if (a, b) == (1.0, 0.0) else (value - b) / a)
    return np.array(values, dtype=np.float64)


def named_positions(names: Sequence[str], positions: Any, topic: str) -> dict[str, float]:
    """Name -> position as published; empty for a message without positions. Raises EmmaError if they do not fit."""
    if len(positions) == 0:
        return {}
    if len(set(names)) != len(names) or len(positions) != len(names):
        raise EmmaError(
            f"joints missing on {topic}: names and positions do not fit",
            found=f"{len(positions)} positions for {', '.join(names) or 'no names'}",
            expected="one position for each name, each name once",
            fix="check the driver",
        )
    return dict(zip(names, positions, strict=True))


def check_plausible(values: Array, spec: RobotSpec, topic: str) -> None:
    """Raise EmmaError for joint values (J,) so far beyond the limits that they must be in another unit."""
    for joint, value in zip(spec.joints, values, strict=True):
        slack = BEYOND_SPANS * (joint.upper - joint.lower)
        if joint.lower - slack <= value <= joint.upper + slack:
            continue
        degrees = joint.unit == "rad" and joint.lower - slack <= np.deg2rad(value) <= joint.upper + slack
        raise EmmaError(
            f"joint {joint.name} on {topic} is far beyond its limits",
            found=f"{value:g} {joint.unit}{', which may be degrees' if degrees else ''}",
            expected=f"{joint.lower:g} to {joint.upper:g} {joint.unit}",
            fix=f"let the driver publish {joint.unit}, say `message: {{unit: degrees}}` for the joint, "
            f"or correct the limits in {spec.folder / 'robot.yaml'}",
        )


def _trajectory(message: Any, spec: RobotSpec, group: CommandGroup) -> CommandedMotion:
    topic = group.topic
    if len(message.points) == 0:
        raise EmmaError(f"empty trajectory on {topic}", found="0 points", expected="at least one point")
    names = message.joint_names
    points = [
        _of_group(
            named_positions(names, point.positions, topic),
            spec,
            group,
            f"{len(point.positions)} positions for {', '.join(names) or 'no names'}",
        )
        for point in message.points
    ]
    times = np.array([p.time_from_start.sec + p.time_from_start.nanosec / 1e9 for p in message.points])
    if times[0] < 0 or (np.diff(times) <= 0).any():
        raise EmmaError(
            f"the points of a trajectory on {topic} do not follow each other",
            found=f"time_from_start {', '.join(f'{t:g}' for t in times[:8])} s",
            expected="times that grow from point to point",
        )
    return CommandedMotion(times, np.stack(points))


def _of_group(found: dict[str, float], spec: RobotSpec, group: CommandGroup, message: str) -> Array:
    return _in_order(found, spec, spec.led(group), group.recorded_topic, message)


def _in_order(found: dict[str, float], spec: RobotSpec, joints: Sequence[str], topic: str, message: str) -> Array:
    """(N,) float64 positions of `joints` in the spec's units. found: positions as published, by names in messages."""
    names = [spec.message_name(name) for name in joints]
    missing = [name for name in names if name not in found]
    if missing:
        raise EmmaError(
            f"joints missing on {topic}: {', '.join(missing)}",
            found=message,
            expected=f"a position for each of {', '.join(names)}",
            fix=f"check the driver, or the joint names in {spec.folder / 'robot.yaml'}",
        )
    raw = np.array([found[name] for name in names], dtype=np.float64)
    if not np.isfinite(raw).all():
        bad = [f"{name}={value}" for name, value in zip(names, raw, strict=True) if not np.isfinite(value)]
        raise EmmaError(f"non-finite joint positions on {topic}", found=", ".join(bad), expected="finite numbers")
    if spec.plain_messages:
        return raw
    scales = np.array([spec.joint(name).scale for name in joints])
    return np.asarray(scales[:, 0] * raw + scales[:, 1])
