"""State and command topics of a draft robot from what was heard."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from emma.errors import EmmaError
from emma.robots.draft_cameras import usual_rate
from emma.robots.heard import JOINT_STATE, Heard
from emma.robots.spec import COMMAND_KINDS

STATE_TOPIC = "/joint_states"
# More turns than joints make, in rad: such a value is in degrees.
NO_ANGLE = 15.0
# The kind of each message type; a gripper's action is no topic.
_KIND_OF = {kind: name for name, kind in COMMAND_KINDS.items() if name != "gripper_action"}
COMMAND_TOPIC = "/joint_trajectory_controller/joint_trajectory"


@dataclass(frozen=True, kw_only=True)
class DraftState:
    """One topic of joint states. joints: those that are told there.

    message_names: joint -> its name in messages, where it is another one. degrees: whether values look like degrees.
    question: "" where nothing is open.
    """

    topic: str
    joints: tuple[str, ...]
    rate_hz: float
    message_names: Mapping[str, str] = field(default_factory=dict)
    degrees: bool = False
    question: str = ""
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class DraftCommand:
    """One topic of commands. joints: in the order of a message without names. question, source: as in DraftState."""

    topic: str
    kind: str
    joints: tuple[str, ...]
    question: str = ""
    source: str = ""


def states_of(joints: Sequence[str], heard: Heard | None, chosen: str = "") -> list[DraftState]:
    """The topics on which `joints` are published: one, or several that share them. Raises EmmaError.

    chosen: the one that a person named. Names may differ from the description's by what stands before them
    (`left/waist` for `waist`); two arms whose drivers use the same names are told apart by the names of their topics.
    """
    if heard is None:
        question = "state_topic and state_rate_hz: not heard (--listen); the usual ones are written."
        return [DraftState(topic=chosen or STATE_TOPIC, joints=tuple(joints), rate_hz=50.0, question=question)]
    topics = [topic for topic in heard.of_type(JOINT_STATE) if not chosen or topic == chosen]
    matched = {topic: _match(joints, _published(heard, topic)) for topic in topics}
    whole = [topic for topic, names in matched.items() if len(names) == len(joints)]
    if len(whole) > 1:
        by = [f"{topic} (from {', '.join(heard.traffic[topic].publishers) or 'unknown'})" for topic in whole]
        raise EmmaError(
            "the same joints are published on several topics",
            found=", ".join(by),
            expected="one robot's joint states",
            fix="name the robot's own with --state-topic; two robots with the same joint names get a spec each",
        )
    if whole:
        return [_heard_state(whole[0], tuple(joints), matched[whole[0]], heard)]
    parts = {topic: _match(_of_side(joints, topic), _published(heard, topic)) for topic in topics}
    if sorted(name for names in parts.values() for name in names) == sorted(joints):
        return [
            _heard_state(topic, tuple(name for name in joints if name in names), names, heard)
            for topic, names in parts.items()
            if names
        ]
    best = max(matched, key=lambda topic: len(matched[topic]), default="")
    missing = [name for name in joints if name not in matched.get(best, {})]
    published = ", ".join(_published(heard, best)) if best else "no JointState topic"
    raise EmmaError(
        f"no topic has all joints of the description: {', '.join(missing)} missing",
        found=f"{best + ': ' if best else ''}{published}",
        expected=", ".join(joints),
        fix="start the drivers, or give the description that they use",
    )


def _heard_state(topic: str, joints: tuple[str, ...], names: Mapping[str, str], heard: Heard) -> DraftState:
    order = [name for name in _published(heard, topic) if name in names.values()]
    note = "" if order == [names[joint] for joint in joints] else ", in another order"
    rate_hz = heard.traffic[topic].rate_hz
    values = [abs(value) for each in heard.joints[topic] for value in each.positions]
    return DraftState(
        topic=topic,
        joints=joints,
        rate_hz=usual_rate(rate_hz),
        message_names={joint: name for joint, name in names.items() if joint != name},
        degrees=max(values, default=0.0) > NO_ANGLE,
        source=f"{len(joints)} joint states on {topic}: heard at {rate_hz:.0f} Hz{note}",
    )


def _of_side(joints: Sequence[str], topic: str) -> list[str]:
    """The joints of the side that a topic's name tells; all of them where it tells none."""
    side = side_of([topic])
    return [name for name in joints if not side or side_of([name]) == side]


def side_of(names: Iterable[str]) -> str:
    """left or right, if the names tell one of them; else ""."""
    text = " ".join(names).lower()
    sides = [side for side in ("left", "right") if side in text]
    return sides[0] if len(sides) == 1 else ""


def commands_of(joints: Sequence[str], heard: Heard | None) -> list[DraftCommand]:
    """Where commands go: one topic that takes all joints, or several that share them. Guesses carry a question."""
    if heard is None:
        question = "command: not heard (--listen); the usual joint trajectory controller is written."
        return [DraftCommand(topic=COMMAND_TOPIC, kind="joint_trajectory", joints=tuple(joints), question=question)]
    taken = [
        topic
        for topic in heard.of_type(*_KIND_OF)
        if heard.traffic[topic].subscribers
        and not (heard.traffic[topic].type == JOINT_STATE and _is_state(topic, heard))
    ]
    told = {topic: heard.controllers[topic] for topic in taken if topic in heard.controllers}
    whole = [topic for topic in taken if set(joints) <= set(told.get(topic, joints))]
    if len(whole) == 1:
        return [_taken(whole[0], tuple(joints), heard)]
    parts = {topic: tuple(name for name in names if name in joints) for topic, names in told.items()}
    if sorted(name for names in parts.values() for name in names) == sorted(joints):
        return [_taken(topic, names, heard) for topic, names in parts.items() if names]
    found = ", ".join(f"{topic} ({_KIND_OF[heard.traffic[topic].type]})" for topic in taken) or "no command topic"
    first = next(iter([*whole, *taken]), COMMAND_TOPIC)
    kind = _KIND_OF[heard.traffic[first].type] if first in taken else "joint_trajectory"
    question = f"command: which topic takes all joints, or which `groups` share them? Heard: {found}."
    return [DraftCommand(topic=first, kind=kind, joints=tuple(joints), question=question)]


def _taken(topic: str, joints: tuple[str, ...], heard: Heard) -> DraftCommand:
    kind = _KIND_OF[heard.traffic[topic].type]
    unordered = kind == "forward_position" and topic not in heard.controllers
    order = f"order on {topic}: numbers without names; does the driver take them as listed?" if unordered else ""
    by = ", ".join(heard.traffic[topic].subscribers)
    source = f"command {topic} ({kind}): {by} listens there"
    return DraftCommand(topic=topic, kind=kind, joints=joints, question=order, source=source)


def _is_state(topic: str, heard: Heard) -> bool:
    """Whether a JointState topic tells where the joints are, rather than where they shall go."""
    return bool(heard.joints.get(topic)) and not topic.rpartition("/")[2].startswith(("command", "cmd", "target"))


def _published(heard: Heard, topic: str) -> list[str]:
    return list(dict.fromkeys(name for each in heard.joints.get(topic, ()) for name in each.names))


def _match(joints: Sequence[str], published: Sequence[str]) -> dict[str, str]:
    """Joint -> published name: equal, or alike but for what stands before it, if that is so for one only."""
    found = {joint: joint for joint in joints if joint in published}
    rest = [name for name in published if name not in found]
    for joint in joints:
        if joint in found:
            continue
        alike = [name for name in rest if _ends_alike(name, joint)]
        if len(alike) == 1:
            found[joint] = alike[0]
    return found if len(set(found.values())) == len(found) else {}


def _ends_alike(one: str, other: str) -> bool:
    longer, shorter = (one, other) if len(one) > len(other) else (other, one)
    return longer.endswith(shorter) and longer[: -len(shorter)].endswith(("/", "_", "-", "."))
