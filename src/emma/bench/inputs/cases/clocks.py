"""The time that messages tell: missing stamps, clocks that disagree or jump, and messages out of order."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from emma.bench.inputs.cases.case import Case, case_of
from emma.bench.inputs.cases.outcome import converted, follows, refused
from emma.bench.inputs.forms import emma_bag, split_bag
from emma.bench.inputs.robot import COMMAND, IMAGE, NS, START_NS, STATE, drive, state_at, target_at

CASES: list[Case] = []


def _zero(*topics: str) -> Callable[[str, int], int]:
    return lambda topic, ns: 0 if topic in topics else ns


@case_of(CASES)
def commands_without_stamps_count_from_receipt(folder: Path) -> str:
    emma_bag(folder / "bag", drive(stamp=_zero(COMMAND)))
    return follows(converted(folder / "bag"), 20, "messages of command have no stamp")


@case_of(CASES)
def one_command_without_stamp(folder: Path) -> str:
    late = START_NS + NS
    emma_bag(folder / "bag", drive(stamp=lambda topic, ns: 0 if topic == COMMAND and ns >= late else ns))
    return follows(converted(folder / "bag"), 21, "51 of 101 messages of command have no stamp")


@case_of(CASES)
def no_stamps_at_all(folder: Path) -> str:
    emma_bag(folder / "bag", drive(stamp=lambda topic, ns: 0))
    # All by receipt: the image of the start is the last to come.
    return follows(converted(folder / "bag"), 20, "of images.top have no stamp", "of state have no stamp")


@case_of(CASES)
def states_without_stamps(folder: Path) -> str:
    emma_bag(folder / "bag", drive(stamp=_zero(STATE)))
    return follows(converted(folder / "bag"), 20, "messages of state have no stamp")


def _simulated(topic: str, ns: int) -> int:
    """A clock that began with the simulation and runs at 0.8 of real time."""
    return 7 * NS + (ns - START_NS) * 4 // 5


@case_of(CASES)
def simulated_time(folder: Path) -> str:
    emma_bag(folder / "bag", drive(2.5, stamp=_simulated))
    job = converted(folder / "bag")
    if job.encoded is None or job.encoded.length != 20:
        return f"refused or cut: {job.refused}"
    wanted = np.stack([state_at(i / 8) for i in range(20)])
    return "" if np.abs(job.encoded.vectors["observation.state"] - wanted).max() < 0.02 else "states are off"


@case_of(CASES)
def simulated_time_and_commands_without_stamps(folder: Path) -> str:
    emma_bag(folder / "bag", drive(2.5, stamp=lambda t, ns: 0 if t == COMMAND else _simulated(t, ns)))
    job = converted(folder / "bag")
    if job.encoded is None or job.encoded.length < 20:
        return f"refused or cut: {job.refused}"
    wanted = np.stack([target_at(i / 8) for i in range(job.encoded.length)])
    return "" if np.abs(job.encoded.vectors["action"] - wanted).max() < 0.03 else "actions are off"


@case_of(CASES)
def a_camera_on_another_clock(folder: Path) -> str:
    emma_bag(folder / "bag", drive(4.0, stamp=lambda topic, ns: ns - (2 * NS if topic == IMAGE else 0)))
    return refused(converted(folder / "bag", keep_stale=True), "different clocks", "images.top")


@case_of(CASES)
def a_camera_that_counts_from_its_own_start(folder: Path) -> str:
    emma_bag(folder / "bag", drive(stamp=lambda topic, ns: ns - START_NS + NS if topic == IMAGE else ns))
    return refused(converted(folder / "bag", keep_stale=True), "different clocks")


@case_of(CASES)
def a_stamp_beyond_any_reason(folder: Path) -> str:
    bad = START_NS + NS
    emma_bag(folder / "bag", drive(stamp=lambda t, ns: ns - 10**8 * NS if t == COMMAND and ns == bad else ns))
    return refused(converted(folder / "bag", keep_stale=True), "stamps of command are beyond any reason")


@case_of(CASES)
def a_clock_that_is_set_back(folder: Path) -> str:
    first, second = drive(3.0), drive(3.0, start_ns=START_NS + NS // 2)
    emma_bag(folder / "bag", [*first, *second])
    return refused(converted(folder / "bag", keep_stale=True), "was set back")


@case_of(CASES)
def pieces_of_a_file_in_another_order(folder: Path) -> str:
    """Chunks may stand in any order (https://mcap.dev/spec)."""
    sent, third = drive(6.0), 6 * len(drive(1.0)) // 3
    emma_bag(folder / "bag", [*sent[2 * third :], *sent[:third], *sent[third : 2 * third]])
    return follows(converted(folder / "bag"), 61, "out of order")


@case_of(CASES)
def splits_in_another_order(folder: Path) -> str:
    bag = split_bag(folder / "bag", drive(6.0), parts=3)
    for number, name in enumerate(("z", "y", "x")):
        (bag / f"bag_{number}.mcap").rename(bag / f"{name}.mcap")
    (bag / "metadata.yaml").unlink()
    return follows(converted(bag), 61)
