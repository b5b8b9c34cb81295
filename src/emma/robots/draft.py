"""A draft of `robot.yaml` from what a robot says of itself: what is known with its source, what is not as a question.

Every value that nothing told stands behind a line `# QUESTION:` with a default that is safe: slow, narrow or off.
"""

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from emma.robots.description import DescribedJoint, Description
from emma.robots.draft_cameras import DraftCamera
from emma.robots.draft_topics import DraftCommand, DraftState, side_of

# Where nothing tells a velocity limit: slow enough to step back from. rad/s and m/s.
SLOW = {"rad": 0.5, "m": 0.05}
# No description has acceleration limits: full speed after half a second.
REACH_SPEED_S = 0.5
# How far a joint that turns without end may wind up, rad: what cables and hoses survive is not known.
WIND = 2 * math.pi
# A velocity limit above this, rad/s and m/s, is a placeholder in most descriptions; drafted as the second number.
PLAUSIBLE = {"rad": 3.2, "m": 0.5}
CAPPED = {"rad": 2.0, "m": 0.25}
GRIPPER = re.compile(r"gripper|finger|knuckle|jaw|robotiq|driver_joint", re.IGNORECASE)
LOOKS = re.compile(r"cam(era)?|optical|lens", re.IGNORECASE)
# What tool frames are called, the point between the fingers before the flange.
TOOLS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (r"tcp|pinch|gripper_?frame|grasp", r"tool0|ee_?(link|frame|arm|gripper)?$", r"flange|attachment")
)
CONTROL_HZ, FPS = 50, 10


@dataclass(frozen=True, kw_only=True)
class DraftTool:
    """A frame at the end of a chain, and the joints that move it."""

    name: str
    frame: str
    joints: tuple[str, ...]


@dataclass(kw_only=True)
class Draft:
    """What becomes a `robot.yaml`. sources: what was taken from where; questions: what a person must answer."""

    name: str
    description: str
    joints: list[DescribedJoint]
    gripper: list[str]
    tools: list[DraftTool]
    model: str
    states: list[DraftState]
    commands: list[DraftCommand]
    cameras: list[DraftCamera]
    sources: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)


def joints_of(described: Description) -> tuple[list[DescribedJoint], list[str], list[str]]:
    """The driven joints, those among them that look like a gripper's, and notes about mimics."""
    joints = list(described.driven)
    carried = {name for joint in joints for name in described.chain(joint.child)[:-1]}
    # A slide at the end of a chain of hinges is a finger, whatever it is called.
    gripper = [
        joint.name
        for joint in joints
        if GRIPPER.search(joint.name)
        or (joint.unit == "m" and joint.name not in carried and len(described.chain(joint.child)) > 1)
    ]
    mimics = [joint for joint in described.joints if joint.mimic is not None]
    notes = []
    for joint in mimics:
        if (leader := joint.mimic) is not None:
            line = f"{leader.multiplier:g} x {leader.joint} + {leader.offset:g}"
            notes.append(f"{joint.name} is {line}: not commanded")
    # Two fingers in one hand may both be driven: each is a joint of its own then.
    return joints, gripper, notes


def tools_of(described: Description, gripper: Iterable[str]) -> list[DraftTool]:
    """One tool for each arm: the frame at the end of its chain, by name if one is called as tools are."""
    fingers = set(gripper) | {joint.name for joint in described.joints if joint.mimic is not None}
    candidates: dict[tuple[str, ...], list[str]] = {}
    places = [*described.parents, *described.frames]
    for place in places:
        link = described.frames.get(place, place)
        chain = described.chain(link)
        if chain and not fingers & set(chain):
            candidates.setdefault(chain, []).append(place)
    longest = [chain for chain in candidates if not any(chain != c and c[: len(chain)] == chain for c in candidates)]
    tools = []
    for number, chain in enumerate(longest):
        frames = [frame for frame in candidates[chain] if not LOOKS.search(frame)] or candidates[chain]
        called = [frame for pattern in TOOLS for frame in frames if pattern.search(frame)]
        frame = called[0] if called else frames[-1]
        name = "tool" if len(longest) == 1 else side_of(chain) or f"tool{number + 1}"
        tools.append(DraftTool(name=name, frame=frame, joints=chain))
    return tools


def render(draft: Draft) -> str:
    """The text of `robot.yaml`."""
    lines = [f"name: {_text(draft.name)}", f"description: {_text(draft.description)}", ""]
    lines += ["# Order here is the order of observation.state and action. Units: rad, m and per second(s)."]
    lines += [_ask("acceleration: no description tells it; the default reaches full speed in half a second.")]
    without = [joint.name for joint in draft.joints if joint.velocity is None]
    if without:
        lines.append(_ask(f"velocity of {', '.join(without)}: not told; the default is slow. See the data sheet."))
    if fast := [joint.name for joint in draft.joints if _capped(joint)]:
        told = ", ".join(f"{joint.velocity:g}" for joint in draft.joints if joint.velocity and _capped(joint))
        lines.append(
            _ask(f"velocity of {', '.join(fast)}: told as {told}, which looks like no real limit; written lower.")
        )
    if turning := [joint.name for joint in draft.joints if joint.continuous]:
        lines.append(
            _ask(f"how far {', '.join(turning)} may wind up, with its cables: the default is one turn each way.")
        )
    if degrees := [state.topic for state in draft.states if state.degrees]:
        lines.append(_ask(f"values on {', '.join(degrees)} look like degrees; is `message: {{unit: degrees}}` right?"))
    lines.append("joints:")
    lines += [f"  - {_joint(joint, _message(joint, draft.states))}" for joint in draft.joints]
    lines.append(_ask("gripper: the joints that are stopped by what they hold; guessed from names."))
    lines.append(f"gripper: {_names(draft.gripper)}")
    lines.append(_ask("home: a pose from which an episode starts; none is known, so none is set."))
    lines.append("home: []")
    if draft.tools:
        lines += ["", _ask("kinematics: is `frame` the point between the fingers that works?"), "kinematics:"]
        lines += [f"  model: {_text(draft.model)}", "  tools:"]
        for tool in draft.tools:
            lines.append(
                f"    - {{name: {_text(tool.name)}, frame: {_text(tool.frame)}, joints: {_names(tool.joints)}}}"
            )
    first, *others = draft.states
    lines += ["", *_block(first.question), f"state_topic: {_text(first.topic)}", f"state_rate_hz: {first.rate_hz:g}"]
    if others:
        lines.append("states:")
    for state in others:
        told = f"joints: {_names(state.joints)}, rate_hz: {state.rate_hz:g}"
        lines.append(f"  - {{topic: {_text(state.topic)}, {told}}}")
    lines += _commands(draft.commands)
    lines += [_ask("control_rate_hz and fps: how often commands go out, and frames of a dataset are taken.")]
    lines += [f"control_rate_hz: {CONTROL_HZ}", f"fps: {_fps(draft.cameras)}", ""]
    if not draft.cameras:
        lines.append(
            _ask("cameras: none was heard. A policy needs at least one; --listen with running drivers finds them.")
        )
    lines.append("cameras:" if draft.cameras else "cameras: []")
    lines += [f"  - {_camera(camera)}" for camera in draft.cameras]
    lines += ["", "# A stream older than max_age_s is stale; cameras further apart than max_skew_s are reported."]
    lines += ["max_age_s: 0.25", f"max_skew_s: {_skew_s(draft.cameras):g}"]
    return "\n".join(lines) + "\n"


def questions(text: str) -> list[str]:
    """The questions that a `robot.yaml` still holds."""
    return [
        line.partition("QUESTION:")[2].strip() for line in text.splitlines() if line.lstrip().startswith("# QUESTION:")
    ]


def _capped(joint: DescribedJoint) -> bool:
    return joint.velocity is not None and joint.velocity > PLAUSIBLE[joint.unit]


def _message(joint: DescribedJoint, states: list[DraftState]) -> str:
    """How messages tell a joint, as YAML; "" for as robot.yaml does."""
    state = next(state for state in states if joint.name in state.joints)
    values = {}
    if joint.name in state.message_names:
        values["name"] = _text(state.message_names[joint.name])
    if state.degrees and joint.unit == "rad":
        values["unit"] = "degrees"
    return "{" + ", ".join(f"{key}: {value}" for key, value in values.items()) + "}" if values else ""


def _joint(joint: DescribedJoint, message: str) -> str:
    velocity = CAPPED[joint.unit] if _capped(joint) else joint.velocity or SLOW[joint.unit]
    lower, upper = (-WIND, WIND) if joint.lower is None or joint.upper is None else (joint.lower, joint.upper)
    values = {
        "name": _text(joint.name),
        "unit": joint.unit,
        "lower": _number(lower),
        "upper": _number(upper),
        "velocity": _number(velocity),
        "acceleration": _number(velocity / REACH_SPEED_S),
    }
    if joint.continuous:
        values["continuous"] = "true"
    if message:
        values["message"] = message
    return "{" + ", ".join(f"{key}: {value}" for key, value in values.items()) + "}"


def _camera(camera: DraftCamera) -> str:
    values: dict[str, str] = {"name": camera.name, "image_topic": camera.image_topic}
    if camera.info_topic:
        values["info_topic"] = camera.info_topic
    if camera.depth_topic:
        values["depth_topic"] = camera.depth_topic
    values |= {"width": str(camera.width), "height": str(camera.height), "rate_hz": f"{camera.rate_hz:g}"}
    if camera.transport != "raw":
        values["transport"] = camera.transport
    if camera.frame_id:
        values["frame_id"] = _text(camera.frame_id)
    return "{" + ", ".join(f"{key}: {value}" for key, value in values.items()) + "}"


def _fps(cameras: list[DraftCamera]) -> int:
    """Frames a second of a dataset: no more than the slowest camera gives."""
    return max(1, min([FPS, *(int(camera.rate_hz) for camera in cameras)]))


def _skew_s(cameras: list[DraftCamera]) -> float:
    """Cameras that are not triggered together may be a period of the slowest apart."""
    slowest = min((camera.rate_hz for camera in cameras), default=20.0)
    return round(1.5 / slowest, 3)


def _commands(commands: list[DraftCommand]) -> list[str]:
    lines = [line for command in commands for line in _block(command.question)]
    if len(commands) == 1:
        return [*lines, "command:", f"  topic: {_text(commands[0].topic)}", f"  kind: {commands[0].kind}"]
    lines.append("groups:")
    for number, command in enumerate(commands):
        name = side_of(command.joints) or command.topic.strip("/").split("/")[0]
        names = [side_of(each.joints) or each.topic.strip("/").split("/")[0] for each in commands]
        name = name if names.count(name) == 1 else f"{name}{number + 1}"
        lines.append(
            f"  - {{name: {_text(name)}, topic: {_text(command.topic)}, kind: {command.kind}, "
            f"joints: {_names(command.joints)}}}"
        )
    return lines


def _block(question: str) -> list[str]:
    return [_ask(question)] if question else []


def _ask(question: str) -> str:
    return f"# QUESTION: {question}"


def _names(names: Iterable[str]) -> str:
    return "[" + ", ".join(_text(name) for name in names) + "]"


def _text(text: str) -> str:
    """A YAML scalar that is text, whatever it looks like."""
    plain = re.fullmatch(r"[A-Za-z_/][\w/.-]*", text, re.ASCII) and text.lower() not in (
        "y",
        "n",
        "yes",
        "no",
        "on",
        "off",
    )
    return text if plain and text.lower() not in ("true", "false", "null") else json.dumps(text, ensure_ascii=False)


def _number(value: float) -> str:
    # YAML 1.1 reads 1e-05 as text.
    return f"{value:.6f}".rstrip("0").rstrip(".") + ("" if value % 1 else ".0")
