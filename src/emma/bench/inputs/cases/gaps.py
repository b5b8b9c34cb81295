"""Cameras and commands that begin late, pause, freeze or end early."""

from pathlib import Path

from emma.bench.inputs.cases.case import Case, case_of
from emma.bench.inputs.cases.outcome import converted, refused
from emma.bench.inputs.forms import emma_bag
from emma.bench.inputs.robot import COMMAND, IMAGE, IMAGE_DELAY_NS, NS, START_NS, drive, image, restamped

CASES: list[Case] = []


@case_of(CASES)
def a_camera_that_dies(folder: Path) -> str:
    bag = emma_bag(folder / "bag", drive(4.0, keep=lambda topic, t: topic != IMAGE or t <= 1.5))
    wrong = refused(converted(bag), "images.top ends 2.5", "15 frames are no whole episode")
    job = converted(bag, keep_stale=True)
    return wrong or ("" if "beyond_limits" in job.provenance else "kept without a mark")


@case_of(CASES)
def a_camera_that_begins_late(folder: Path) -> str:
    bag = emma_bag(folder / "bag", drive(4.0, keep=lambda topic, t: topic != IMAGE or t >= 1.5))
    job = converted(bag)
    return "" if any("images.top begins 1.520 s" in note for note in job.notes) else f"{job.refused} {job.notes}"


@case_of(CASES)
def a_camera_that_freezes(folder: Path) -> str:
    frozen = image(START_NS, 7)
    sent = [(t, k, ns, frozen if t == IMAGE and ns > START_NS + NS else data) for t, k, ns, data in drive(4.0)]
    sent = [(t, k, ns, restamped(data, ns - IMAGE_DELAY_NS) if t == IMAGE else data) for t, k, ns, data in sent]
    job = converted(emma_bag(folder / "bag", sent))
    return "" if any("top shows one picture" in note for note in job.notes) else f"{job.refused} {job.notes}"


@case_of(CASES)
def commands_that_pause(folder: Path) -> str:
    bag = emma_bag(folder / "bag", drive(4.0, keep=lambda topic, t: topic != COMMAND or not 1.0 < t < 2.0))
    job = converted(bag)
    return "" if any("command pauses for up to" in note for note in job.notes) else f"{job.refused} {job.notes}"


@case_of(CASES)
def commands_that_begin_late(folder: Path) -> str:
    bag = emma_bag(folder / "bag", drive(4.0, keep=lambda topic, t: topic != COMMAND or t >= 1.0))
    job = converted(bag)
    return "" if any("command begins 1.000 s" in note for note in job.notes) else f"{job.refused} {job.notes}"
