"""Commands that are trajectories of several points, from their stamp or from their receipt on."""

from pathlib import Path

import numpy as np

from emma.bags.message_definitions import typestore
from emma.bench.inputs.cases.case import Case, case_of
from emma.bench.inputs.cases.outcome import converted, refused
from emma.bench.inputs.forms import Sent, emma_bag
from emma.bench.inputs.robot import COMMAND, NAMES, NS, START_NS, TRAJECTORY, drive, robot, state_at, trajectory
from emma.conversion.convert_job import ConvertedJob
from emma.observation import Aligner

CASES: list[Case] = []


def _plan(stamp_ns: int, first_s: float = 0.0) -> Sent:
    """A drive with one trajectory of four points in 3 s instead of commands, planned at 0.5 s."""
    sent = drive(4.0, command=False)
    points = [(first_s + k, (float(k), -float(k))) for k in range(4)]
    sent.append((COMMAND, TRAJECTORY, START_NS + NS // 2, trajectory(stamp_ns, NAMES, points)))
    return sorted(sent, key=lambda message: message[2])


def _ramp(job: ConvertedJob) -> str:
    if job.encoded is None:
        return f"refused: {job.refused}"
    wanted = np.clip(np.arange(job.encoded.length) / 10, 0, 3)
    found = job.encoded.vectors["action"]
    return "" if np.abs(found - np.stack([wanted, -wanted], 1)).max() < 1e-4 else f"actions {found[::5, 0].tolist()}"


@case_of(CASES)
def a_trajectory_of_several_points(folder: Path) -> str:
    emma_bag(folder / "bag", _plan(START_NS + NS // 2))
    return _ramp(converted(folder / "bag"))


@case_of(CASES)
def a_trajectory_of_several_points_from_now_on(folder: Path) -> str:
    emma_bag(folder / "bag", _plan(0))
    return _ramp(converted(folder / "bag"))


@case_of(CASES)
def a_trajectory_that_begins_where_the_arm_is(folder: Path) -> str:
    """Its first point lies 0.5 s after its start: until then the arm moves there from its pose."""
    emma_bag(folder / "bag", _plan(START_NS + NS // 2, first_s=0.5))
    job = converted(folder / "bag")
    if job.encoded is None:
        return f"refused: {job.refused}"
    start = state_at(0.5)
    wanted = start * (1 - np.arange(5)[:, None] / 5)
    found = job.encoded.vectors["action"]
    if np.abs(found[:5] - wanted).max() > 0.02:
        return f"before the first point: {found[:5, 0].tolist()}"
    return "" if np.abs(found[15, 0] - 1.0) < 1e-4 else f"after it: {found[15, 0]}"


@case_of(CASES)
def points_that_go_back_in_time(folder: Path) -> str:
    sent = drive(1.0, command=False)
    points = [(1.0, (0.0, 0.0)), (0.5, (1.0, 1.0))]
    sent.append((COMMAND, TRAJECTORY, START_NS, trajectory(START_NS, NAMES, points)))
    emma_bag(folder / "bag", sent)
    return refused(converted(folder / "bag"), "do not follow each other", "time_from_start")


@case_of(CASES)
def live_and_bag_agree_on_a_trajectory(folder: Path) -> str:
    sent = _plan(0)
    emma_bag(folder / "bag", sent)
    job = converted(folder / "bag")
    aligner, store, due = Aligner(robot()), typestore(), 0
    first = int(job.provenance["first_stamp_ns"])
    for frame in range(job.encoded.length if job.encoded else 0):
        t_ns = first + frame * NS // 10
        while due < len(sent) and sent[due][2] <= t_ns + NS // 50:
            topic, kind, log_ns, data = sent[due]
            aligner.push(topic, store.deserialize_cdr(data, kind), log_ns)
            due += 1
        live = aligner.command_at(t_ns)
        if live is None or job.encoded is None or not np.array_equal(live, job.encoded.vectors["action"][frame]):
            return f"frame {frame}: live {live}"
    return "" if due else f"refused: {job.refused}"
