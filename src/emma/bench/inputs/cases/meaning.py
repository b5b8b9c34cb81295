"""What the values mean: types, joints and units that are not those of the robot's description."""

from pathlib import Path

import numpy as np

from emma.bench.inputs.cases.case import Case, case_of
from emma.bench.inputs.cases.outcome import converted, follows, refused
from emma.bench.inputs.forms import emma_bag
from emma.bench.inputs.robot import (
    COMMAND,
    JOINT_STATE,
    NAMES,
    NS,
    RAW,
    START_NS,
    STATE,
    STATE_DELAY_NS,
    drive,
    image,
    joint_state,
    robot,
    state_at,
)
from emma.conversion.config import ConvertConfig

CASES: list[Case] = []


@case_of(CASES)
def another_type_than_the_robot_names(folder: Path) -> str:
    bag = emma_bag(folder / "bag", drive())
    return refused(converted(bag, robot(kind="forward_position")), COMMAND, "Float64MultiArray", "command.kind")


@case_of(CASES)
def a_state_of_another_type(folder: Path) -> str:
    sent = [(t, RAW, ns, image(START_NS, 1)) if t == STATE else (t, k, ns, d) for t, k, ns, d in drive()]
    return refused(converted(emma_bag(folder / "bag", sent)), STATE, RAW, JOINT_STATE)


@case_of(CASES)
def a_robot_with_one_joint(folder: Path) -> str:
    from emma.conversion.convert import convert

    emma_bag(folder / "bags/bag", drive(names=("a",)))
    report = convert(folder / "bags", folder / "data", robot(("a",)), ConvertConfig(instruction="test"))
    return "" if report.frames == 21 else str(report.results)


@case_of(CASES)
def a_gripper_in_messages_of_its_own(folder: Path) -> str:
    sent = drive(state=False)
    for i in range(101):
        true_ns, (a, b) = START_NS + i * NS // 50, state_at(i / 50)
        sent.append((STATE, JOINT_STATE, true_ns + STATE_DELAY_NS, joint_state(true_ns, ["a", "other"], [a, 9.0])))
        sent.append((STATE, JOINT_STATE, true_ns + STATE_DELAY_NS + 1, joint_state(true_ns, ["b"], [b])))
        sent.append((STATE, JOINT_STATE, true_ns + STATE_DELAY_NS + 2, joint_state(true_ns, ["elsewhere"], [7.0])))
    bag = emma_bag(folder / "bag", sorted(sent, key=lambda message: message[2]))
    return follows(converted(bag), 21, "come in 2 messages and are merged")


@case_of(CASES)
def joints_in_another_order(folder: Path) -> str:
    sent = [
        (
            t,
            k,
            ns,
            joint_state(ns - STATE_DELAY_NS, ["b", "a"], state_at((ns - STATE_DELAY_NS - START_NS) / NS)[::-1].copy()),
        )
        if t == STATE
        else (t, k, ns, data)
        for t, k, ns, data in drive()
    ]
    return follows(converted(emma_bag(folder / "bag", sent)), 21)


@case_of(CASES)
def a_joint_that_is_never_sent(folder: Path) -> str:
    bag = emma_bag(folder / "bag", drive())
    return refused(converted(bag, robot(("a", "b", "c"))), "joints missing on /joint_states: c", "a, b")


@case_of(CASES)
def degrees_where_radians_are_declared(folder: Path) -> str:
    degrees = [
        (t, k, ns, joint_state(ns, NAMES, np.degrees(state_at((ns - START_NS) / NS)) - 90) if t == STATE else data)
        for t, k, ns, data in drive()
    ]
    bag = emma_bag(folder / "bag", degrees)
    return refused(converted(bag), "joint a on /joint_states is far beyond its limits", "degrees", "rad")
