"""Compares a robot's spec with its running drivers and its description: every mismatch with what to do."""

from collections.abc import Iterator
from dataclasses import dataclass

from emma.robots.check_cameras import check_cameras
from emma.robots.check_commands import check_commands
from emma.robots.description import Description
from emma.robots.draft import questions
from emma.robots.findings import Finding, Level
from emma.robots.heard import JOINT_STATE, Heard
from emma.robots.rates import check_clock, check_rate
from emma.robots.spec import Joint, RobotSpec, StateTopic

# Positions outside of the limits by more than this share of their span are another unit, not a calibration error.
FAR = 0.25
# A spec may round the description's limits.
ROUNDING = {"rad": 2e-3, "m": 1e-4}


@dataclass(frozen=True, kw_only=True)
class Report:
    """findings: in the order of looking. checked: what was compared and is right, in words."""

    findings: tuple[Finding, ...]
    checked: tuple[str, ...]

    @property
    def errors(self) -> int:
        return sum(finding.level is Level.ERROR for finding in self.findings)


def check_robot(spec: RobotSpec, heard: Heard | None, described: Description | None) -> Report:
    """Compare `spec` with what was heard and with the robot's description; None leaves a part out."""
    findings: list[Finding] = [*check_questions(spec)]
    checked: list[str] = []
    if described is not None:
        found = list(check_limits(spec, described))
        findings += found
        if not found:
            checked.append(f"limits and units of {len(spec.joints)} joints against the {described.kind}")
    if heard is not None:
        for state in spec.state_topics:
            found = list(check_state(spec, state, heard))
            findings += found
            if not found:
                rate = heard.traffic[state.topic].rate_hz
                checked.append(f"{state.topic}: {len(state.joints)} joints at {rate:.0f} Hz")
        for part, label in ((check_cameras, "cameras"), (check_commands, "commands")):
            found = list(part(spec, heard))
            findings += found
            if not found:
                count = len(spec.cameras) if label == "cameras" else len(spec.command_groups)
                checked.append(f"{count} of {count} {label}")
    return Report(findings=tuple(findings), checked=tuple(checked))


def check_questions(spec: RobotSpec) -> Iterator[Finding]:
    """What `emma robots new` could not know and no person has answered."""
    file = spec.folder / "robot.yaml"
    open_ones = questions(file.read_text()) if file.is_file() else []
    if open_ones:
        yield Finding(
            what=str(file),
            found=f"{len(open_ones)} questions are open, the first: {open_ones[0]}",
            expected="every value confirmed by a person",
            fix="answer each line that begins with # QUESTION, then delete the line",
            level=Level.WARNING,
        )


def check_limits(spec: RobotSpec, described: Description) -> Iterator[Finding]:
    """A spec may be narrower and slower than the description, never wider or faster."""
    file = spec.folder / "robot.yaml"
    joints = {joint.name: joint for joint in described.joints}
    for joint in spec.joints:
        theirs = joints.get(joint.name)
        if theirs is None:
            yield Finding(
                what=f"joint {joint.name}",
                found=f"not in the {described.kind}",
                expected=", ".join(joints),
                fix=f"correct the name in {file}, or give the right description",
            )
            continue
        if theirs.unit != joint.unit:
            yield Finding(
                what=f"joint {joint.name}",
                found=f"unit {joint.unit}",
                expected=f"{theirs.unit}, as the {described.kind} has it",
                fix=f"correct unit and limits in {file}",
            )
            continue
        slack = ROUNDING[joint.unit]
        lower, upper = theirs.lower, theirs.upper
        if lower is not None and upper is not None and (joint.lower < lower - slack or joint.upper > upper + slack):
            yield Finding(
                what=f"joint {joint.name}",
                found=f"limits {joint.lower:g} to {joint.upper:g} {joint.unit}",
                expected=f"within {lower:g} to {upper:g} {joint.unit}, as the {described.kind} has them",
                fix=f"narrow them in {file}",
            )
        if theirs.velocity is not None and joint.velocity > theirs.velocity * (1 + 1e-3):
            yield Finding(
                what=f"joint {joint.name}",
                found=f"velocity {joint.velocity:g} {joint.unit}/s",
                expected=f"at most {theirs.velocity:g}, as the {described.kind} has it",
                fix=f"lower it in {file}",
            )


def check_state(spec: RobotSpec, state: StateTopic, heard: Heard) -> Iterator[Finding]:
    """Publisher, names, rate, clock and plausible positions of one joint state topic."""
    seen, file = heard.traffic.get(state.topic), spec.folder / "robot.yaml"
    if seen is None or not seen.publishers:
        others = heard.of_type(JOINT_STATE)
        yield Finding(
            what=state.topic,
            found=f"it has no publisher; joint states come on {', '.join(others) or 'no topic'}",
            expected="joint states",
            fix=f"start the driver, or correct state_topic in {file}",
        )
        return
    if seen.count == 0:
        yield Finding(
            what=state.topic,
            found=f"{', '.join(seen.publishers)} publishes nothing",
            expected=f"{state.rate_hz or spec.state_rate_hz:g} Hz",
            fix="see that the driver is active and powered",
        )
        return
    yield from _check_names(spec, state, heard)
    if seen.senders > 1 and len({each.names for each in heard.joints.get(state.topic, ())}) < seen.senders:
        yield Finding(
            what=state.topic,
            found=f"{seen.senders} publishers of the same joints: {', '.join(seen.publishers)}",
            expected="one robot's driver",
            fix="give each robot a namespace of its own, and its topic in state_topic",
        )
    yield from check_rate(state.topic, seen, state.rate_hz or spec.state_rate_hz, f"state_rate_hz in {file}")
    yield from check_clock(state.topic, seen)
    for each in heard.joints.get(state.topic, ()):
        at = dict(zip(each.names, each.positions, strict=False))
        for name in state.joints:
            joint = spec.joint(name)
            if joint.message_name in at:
                yield from _check_position(joint, at[joint.message_name], state.topic, file)


def _check_names(spec: RobotSpec, state: StateTopic, heard: Heard) -> Iterator[Finding]:
    published = list(dict.fromkeys(name for each in heard.joints.get(state.topic, ()) for name in each.names))
    wanted = [spec.joint(name).message_name for name in state.joints]
    if missing := [name for name in wanted if name not in published]:
        more = [name for name in published if name not in wanted]
        yield Finding(
            what=state.topic,
            found=f"no positions of {', '.join(missing)}; published: {', '.join(published) or 'no names'}",
            expected=", ".join(wanted),
            fix=f"name the joints in {spec.folder / 'robot.yaml'} as the driver does"
            + (f" (it has {', '.join(more)} as well)" if more else "")
            + ", or say `message: {name: ...}` for a joint",
        )
    for each in heard.joints.get(state.topic, ()):
        if len(each.positions) != len(each.names) or len(set(each.names)) < len(each.names):
            yield Finding(
                what=state.topic,
                found=f"{len(each.positions)} positions for {', '.join(each.names) or 'no names'}",
                expected="one position for each name, each name once",
                fix="correct the driver",
            )


def _check_position(joint: Joint, value: float, topic: str, file: object) -> Iterator[Finding]:
    a, b = joint.scale
    position, span = a * value + b, joint.upper - joint.lower
    if joint.continuous or joint.lower - FAR * span <= position <= joint.upper + FAR * span:
        return
    fix = f"correct the limits of {joint.name}, or its `message: {{unit: ...}}`, in {file}"
    if joint.unit == "rad" and not joint.message.unit:
        fix += "; values of tens and hundreds are degrees"
    yield Finding(
        what=f"joint {joint.name} on {topic}",
        found=f"{value:g}" + (f", which is {position:g} {joint.unit}" if (a, b) != (1.0, 0.0) else f" {joint.unit}"),
        expected=f"{joint.lower:g} to {joint.upper:g} {joint.unit}",
        fix=fix,
    )
