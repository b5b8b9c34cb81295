"""Joints that come in several JointState messages: an arm's driver and a gripper's on one topic."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from emma.bags.reader import Bag
from emma.errors import EmmaError
from emma.messages import named_positions
from emma.robots.spec import RobotSpec, StateTopic


@dataclass(frozen=True)
class JointParts:
    """members: stream -> (M,) bool, which of the messages have its joints; notes: what was merged.

    One stream where every message has all joints, else one for each set of joints that come together.
    """

    members: Mapping[str, np.ndarray]
    notes: tuple[str, ...] = ()


def joint_parts(bag: Bag, spec: RobotSpec, topic: StateTopic, stream: str, positions: np.ndarray) -> JointParts:
    """Which of the messages of a state topic, at `positions`, have which of its joints. stream: its name.

    Raises EmmaError for a joint in none.
    """
    member = np.zeros((len(positions), len(topic.joints)), bool)
    told = [spec.message_name(joint) for joint in topic.joints]
    for row, position in enumerate(positions):
        message = bag.message(int(position))
        names = named_positions(message.name, message.position, topic.topic)
        member[row] = [name in names for name in told]
    if len(positions) and not member.any(axis=0).all():
        heard = dict.fromkeys(name for p in positions[:50] for name in bag.message(int(p)).name)
        missing = [told[j] for j in np.flatnonzero(~member.any(axis=0))]
        raise EmmaError(
            f"joints missing on {topic.topic}: {', '.join(missing)}",
            found=", ".join(heard) or "no names",
            expected=f"a position for each of {', '.join(told)}",
            fix=f"check the driver, or the joint names in {spec.folder / 'robot.yaml'}",
        )
    groups: dict[bytes, list[int]] = {}
    for joint, column in enumerate(member.T):
        groups.setdefault(column.tobytes(), []).append(joint)
    if len(groups) <= 1:
        return JointParts({stream: member[:, 0]})
    streams = {f"{stream} ({', '.join(topic.joints[j] for j in group)})": group for group in groups.values()}
    note = f"joints of {topic.topic} come in {len(groups)} messages and are merged: {', '.join(streams)}"
    return JointParts({name: member[:, group[0]] for name, group in streams.items()}, (note,))
