"""Inputs that once went wrong, as code: each makes a bag and states what is right.

They come from public bug reports and the habits of other drivers. A case returns what is wrong, "" if nothing is.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import zstandard
from mcap.writer import IndexType

from emma.bags.files import find_bags
from emma.bags.message_definitions import typestore
from emma.bags.reader import Bag
from emma.bags.repair import repair
from emma.bench.bag_forms import (
    Sent,
    emma_bag,
    files_packed,
    library_bag,
    messages_packed,
    split_bag,
    sqlite_with_log,
    unfinished_bag,
)
from emma.bench.input_robot import (
    COMMAND,
    COMPRESSED,
    HEIGHT,
    IMAGE,
    IMAGE_DELAY_NS,
    JOINT_STATE,
    NAMES,
    NS,
    RAW,
    START_NS,
    STATE,
    STATE_DELAY_NS,
    TRAJECTORY,
    WIDTH,
    drive,
    header,
    image,
    joint_state,
    longer,
    new,
    packed,
    restamped,
    robot,
    state_at,
    target_at,
    trajectory,
)
from emma.conversion.config import ConvertConfig
from emma.conversion.convert_job import ConvertedJob, ConvertJob, encode_job
from emma.errors import EmmaError
from emma.observation import Aligner
from emma.robots.spec import RobotSpec


class Case(NamedTuple):
    """One input. run(folder): what is wrong in an empty folder of its own."""

    name: str
    run: Callable[[Path], str]


CASES: list[Case] = []


def case(run: Callable[[Path], str]) -> Callable[[Path], str]:
    """Add a case, named as its function."""
    CASES.append(Case(run.__name__, run))
    return run


def converted(folder: Path, spec: RobotSpec | None = None, **config: object) -> ConvertedJob:
    """The bag at `folder`, judged and encoded as `emma episodes convert` does it."""
    settings = ConvertConfig(instruction="test", **config)  # type: ignore[arg-type]
    staged = folder.parent / f"{folder.name}.parquet"
    return encode_job(
        ConvertJob(name=folder.name, folder=folder, meta=None, spec=spec or robot(), config=settings, staged=staged)
    )


def _refused(job: ConvertedJob, *words: str) -> str:
    """What is wrong unless the bag was refused with these words."""
    if job.encoded is not None:
        return f"converted into {job.encoded.length} frames"
    missing = [word for word in words if word not in job.refused]
    return f"refused without {missing}: {job.refused}" if missing else ""


def _follows(job: ConvertedJob, frames: int, *notes: str) -> str:
    """What is wrong unless there are that many frames with the states and targets of `drive`."""
    if job.encoded is None:
        return f"refused: {job.refused}"
    if job.encoded.length != frames:
        return f"{job.encoded.length} frames instead of {frames}"
    times = np.arange(frames) / 10
    for key, expected, tolerance in (("observation.state", state_at, 0.015), ("action", target_at, 0.015)):
        values = job.encoded.vectors[key]
        wanted = np.stack([expected(t, values.shape[1]) for t in times])
        if (worst := float(np.abs(values - wanted).max())) > tolerance:
            return f"{key} is off by {worst:.3f} rad"
    missing = [note for note in notes if not any(note in line for line in job.notes)]
    return f"no note about {missing}: {job.notes}" if missing else ""


def _zero(*topics: str) -> Callable[[str, int], int]:
    return lambda topic, ns: 0 if topic in topics else ns


@case
def commands_without_stamps_count_from_receipt(folder: Path) -> str:
    emma_bag(folder / "bag", drive(stamp=_zero(COMMAND)))
    return _follows(converted(folder / "bag"), 20, "messages of command have no stamp")


@case
def one_command_without_stamp(folder: Path) -> str:
    late = START_NS + NS
    emma_bag(folder / "bag", drive(stamp=lambda topic, ns: 0 if topic == COMMAND and ns >= late else ns))
    return _follows(converted(folder / "bag"), 21, "51 of 101 messages of command have no stamp")


@case
def no_stamps_at_all(folder: Path) -> str:
    emma_bag(folder / "bag", drive(stamp=lambda topic, ns: 0))
    # All by receipt: the image of the start is the last to come.
    return _follows(converted(folder / "bag"), 20, "of images.top have no stamp", "of state have no stamp")


@case
def states_without_stamps(folder: Path) -> str:
    emma_bag(folder / "bag", drive(stamp=_zero(STATE)))
    return _follows(converted(folder / "bag"), 20, "messages of state have no stamp")


def _simulated(topic: str, ns: int) -> int:
    """A clock that began with the simulation and runs at 0.8 of real time."""
    return 7 * NS + (ns - START_NS) * 4 // 5


@case
def simulated_time(folder: Path) -> str:
    emma_bag(folder / "bag", drive(2.5, stamp=_simulated))
    job = converted(folder / "bag")
    if job.encoded is None or job.encoded.length != 20:
        return f"refused or cut: {job.refused}"
    wanted = np.stack([state_at(i / 8) for i in range(20)])
    return "" if np.abs(job.encoded.vectors["observation.state"] - wanted).max() < 0.02 else "states are off"


@case
def simulated_time_and_commands_without_stamps(folder: Path) -> str:
    emma_bag(folder / "bag", drive(2.5, stamp=lambda t, ns: 0 if t == COMMAND else _simulated(t, ns)))
    job = converted(folder / "bag")
    if job.encoded is None or job.encoded.length < 20:
        return f"refused or cut: {job.refused}"
    wanted = np.stack([target_at(i / 8) for i in range(job.encoded.length)])
    return "" if np.abs(job.encoded.vectors["action"] - wanted).max() < 0.03 else "actions are off"


@case
def a_camera_on_another_clock(folder: Path) -> str:
    emma_bag(folder / "bag", drive(4.0, stamp=lambda topic, ns: ns - (2 * NS if topic == IMAGE else 0)))
    return _refused(converted(folder / "bag", keep_stale=True), "different clocks", "images.top")


@case
def a_camera_that_counts_from_its_own_start(folder: Path) -> str:
    emma_bag(folder / "bag", drive(stamp=lambda topic, ns: ns - START_NS + NS if topic == IMAGE else ns))
    return _refused(converted(folder / "bag", keep_stale=True), "different clocks")


@case
def a_stamp_beyond_any_reason(folder: Path) -> str:
    bad = START_NS + NS
    emma_bag(folder / "bag", drive(stamp=lambda t, ns: ns - 10**8 * NS if t == COMMAND and ns == bad else ns))
    return _refused(converted(folder / "bag", keep_stale=True), "stamps of command are beyond any reason")


@case
def a_clock_that_is_set_back(folder: Path) -> str:
    first, second = drive(3.0), drive(3.0, start_ns=START_NS + NS // 2)
    emma_bag(folder / "bag", [*first, *second])
    return _refused(converted(folder / "bag", keep_stale=True), "was set back")


@case
def pieces_of_a_file_in_another_order(folder: Path) -> str:
    """Chunks may stand in any order (https://mcap.dev/spec)."""
    sent, third = drive(6.0), 6 * len(drive(1.0)) // 3
    emma_bag(folder / "bag", [*sent[2 * third :], *sent[:third], *sent[third : 2 * third]])
    return _follows(converted(folder / "bag"), 61, "out of order")


@case
def splits_in_another_order(folder: Path) -> str:
    bag = split_bag(folder / "bag", drive(6.0), parts=3)
    for number, name in enumerate(("z", "y", "x")):
        (bag / f"bag_{number}.mcap").rename(bag / f"{name}.mcap")
    (bag / "metadata.yaml").unlink()
    return _follows(converted(bag), 61)


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


@case
def a_trajectory_of_several_points(folder: Path) -> str:
    emma_bag(folder / "bag", _plan(START_NS + NS // 2))
    return _ramp(converted(folder / "bag"))


@case
def a_trajectory_of_several_points_from_now_on(folder: Path) -> str:
    emma_bag(folder / "bag", _plan(0))
    return _ramp(converted(folder / "bag"))


@case
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


@case
def points_that_go_back_in_time(folder: Path) -> str:
    sent = drive(1.0, command=False)
    points = [(1.0, (0.0, 0.0)), (0.5, (1.0, 1.0))]
    sent.append((COMMAND, TRAJECTORY, START_NS, trajectory(START_NS, NAMES, points)))
    emma_bag(folder / "bag", sent)
    return _refused(converted(folder / "bag"), "do not follow each other", "time_from_start")


@case
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


WRITER = "import sys; f = open(sys.argv[1], 'ab'); print('open', flush=True); sys.stdin.read()"


@case
def a_file_that_is_still_written(folder: Path) -> str:
    bag = unfinished_bag(folder / "bag", drive(1.0))
    [file] = bag.glob("*.mcap")
    before = file.read_bytes()
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        report, job = repair(bag, settle_s=0), converted(bag)
        assert writer.stdin is not None
        writer.stdin.close()
    if file.read_bytes() != before or report.action != "busy":
        return f"repair: {report}"
    return _refused(job, "still written by", str(writer.pid))


@case
def repair_keeps_the_original(folder: Path) -> str:
    bag = unfinished_bag(folder / "bag", drive(1.0))
    [file] = bag.glob("*.mcap")
    before = file.read_bytes()
    report = repair(bag, settle_s=0)
    if [path.read_bytes() for path in report.originals] != [before]:
        return f"the original is gone: {report}"
    return _follows(converted(bag), 11)


@case
def a_private_record_between_chunks(folder: Path) -> str:
    sent = drive()
    bag = emma_bag(folder / "bag", sent)
    [file] = bag.glob("*.mcap")
    whole = file.read_bytes()
    with Bag(bag) as opened:
        at = opened._sources[0]._starts[3]  # type: ignore[attr-defined]
    record = b"\x93" + (7).to_bytes(8, "little") + b"private"
    # An unfinished file, as the offsets of its index would be wrong.
    file.write_bytes(whole[:at] + record + whole[at : whole.rindex(b"\x0f\x04\0\0\0\0\0\0\0")])
    (bag / "metadata.yaml").unlink()
    report = repair(bag, settle_s=0)
    return "" if report.messages == len(sent) and record in file.read_bytes() else str(report)


@case
def no_message_indexes(folder: Path) -> str:
    bag = library_bag(folder / "bag", drive(), index_types=IndexType.NONE, repeat_channels=False)
    return _follows(converted(bag), 21)


@case
def no_chunks(folder: Path) -> str:
    return _follows(converted(library_bag(folder / "bag", drive(), use_chunking=False)), 21)


@case
def a_write_ahead_log(folder: Path) -> str:
    return _follows(converted(sqlite_with_log(folder / "bag", drive())), 21, "was not closed")


@case
def messages_compressed_one_by_one(folder: Path) -> str:
    return _follows(converted(emma_bag(folder / "bag", messages_packed(drive()))), 21)


@case
def a_garbage_payload(folder: Path) -> str:
    sent = list(messages_packed(drive()))
    sent[20] = (*sent[20][:3], zstandard.compress(b"x")[:6] + b"garbage")
    bag = emma_bag(folder / "bag", sent)
    wrong = _refused(converted(bag), "1 messages cannot be decompressed")
    return wrong or _follows(converted(bag, keep_damaged=True), 21, "1 messages cannot be decompressed")


@case
def files_compressed_but_the_last(folder: Path) -> str:
    bag = files_packed(folder / "bag", drive())
    wrong = _follows(converted(bag), 21)
    (bag / "metadata.yaml").unlink()
    return wrong or _follows(converted(bag), 21)


@case
def a_file_that_metadata_promises_is_gone(folder: Path) -> str:
    bag = split_bag(folder / "bag", drive(), parts=3)
    (bag / "bag_2.mcap").unlink()
    return _refused(converted(bag), "bag_2.mcap is gone", "promises")


@case
def a_chunk_that_fails_its_crc(folder: Path) -> str:
    bag = emma_bag(folder / "bag", drive())
    [file] = bag.glob("*.mcap")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)
    return _refused(converted(bag), "CRC")


@case
def another_type_than_the_robot_names(folder: Path) -> str:
    bag = emma_bag(folder / "bag", drive())
    return _refused(converted(bag, robot(kind="forward_position")), COMMAND, "Float64MultiArray", "command.kind")


@case
def a_state_of_another_type(folder: Path) -> str:
    sent = [(t, RAW, ns, image(START_NS, 1)) if t == STATE else (t, k, ns, d) for t, k, ns, d in drive()]
    return _refused(converted(emma_bag(folder / "bag", sent)), STATE, RAW, JOINT_STATE)


@case
def a_robot_with_one_joint(folder: Path) -> str:
    from emma.conversion.convert import convert

    emma_bag(folder / "bags/bag", drive(names=("a",)))
    report = convert(folder / "bags", folder / "data", robot(("a",)), ConvertConfig(instruction="test"))
    return "" if report.frames == 21 else str(report.results)


def _with_depth(fmt: str, data: Callable[[np.ndarray], bytes]) -> tuple[RobotSpec, Sent]:
    spec = robot()
    spec = replace(spec, cameras=(replace(spec.cameras[0], depth_topic="/top/depth"),))
    sent = drive(1.0)
    for i in range(26):
        stamp = START_NS + i * NS // 25
        pixels = np.full((HEIGHT, WIDTH), 1000 + i, np.uint16)
        message = new(COMPRESSED, header=header(stamp), format=fmt, data=np.frombuffer(data(pixels), np.uint8))
        sent.append(("/top/depth", COMPRESSED, stamp + 20_000_000, packed(message)))
    return spec, sorted(sent, key=lambda message: message[2])


def _png(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


def _depth_right(folder: Path, spec: RobotSpec, sent: Sent, tolerance: float) -> str:
    from emma.messages import decode_depth

    emma_bag(folder / "bag", sent)
    with Bag(folder / "bag") as bag:
        for number, found in enumerate(bag.messages(["/top/depth"])):
            depth = decode_depth(found.message, spec.cameras[0])
            if np.abs(depth.astype(float) - 1000 - number).max() > tolerance:
                return f"{depth[0, 0]} mm instead of {1000 + number}"
    return _follows(converted(folder / "bag", spec), 11)


@case
def compressed_depth_in_millimetres(folder: Path) -> str:
    return _depth_right(folder, *_with_depth("16UC1; compressedDepth png", lambda p: bytes(12) + _png(p)), 0.0)


@case
def compressed_depth_in_metres(folder: Path) -> str:
    a, b = 10_100.0, 1.0

    def encode(pixels: np.ndarray) -> bytes:
        return (
            np.array([0], "<i4").tobytes()
            + np.array([a, b], "<f4").tobytes()
            + _png(np.rint(a / (pixels / 1000.0) + b).astype(np.uint16))
        )

    return _depth_right(folder, *_with_depth("32FC1; compressedDepth", encode), 1.0)


@case
def compressed_depth_that_is_not_read(folder: Path) -> str:
    spec, sent = _with_depth("16UC1; compressedDepth rvl", lambda p: bytes(12) + p.tobytes())
    return _refused(converted(emma_bag(folder / "bag", sent), spec), "/top/depth", "rvl", "png")


@case
def a_gripper_in_messages_of_its_own(folder: Path) -> str:
    sent = drive(state=False)
    for i in range(101):
        true_ns, (a, b) = START_NS + i * NS // 50, state_at(i / 50)
        sent.append((STATE, JOINT_STATE, true_ns + STATE_DELAY_NS, joint_state(true_ns, ["a", "other"], [a, 9.0])))
        sent.append((STATE, JOINT_STATE, true_ns + STATE_DELAY_NS + 1, joint_state(true_ns, ["b"], [b])))
        sent.append((STATE, JOINT_STATE, true_ns + STATE_DELAY_NS + 2, joint_state(true_ns, ["elsewhere"], [7.0])))
    bag = emma_bag(folder / "bag", sorted(sent, key=lambda message: message[2]))
    return _follows(converted(bag), 21, "come in 2 messages and are merged")


@case
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
    return _follows(converted(emma_bag(folder / "bag", sent)), 21)


@case
def a_joint_that_is_never_sent(folder: Path) -> str:
    bag = emma_bag(folder / "bag", drive())
    return _refused(converted(bag, robot(("a", "b", "c"))), "joints missing on /joint_states: c", "a, b")


@case
def a_camera_that_dies(folder: Path) -> str:
    bag = emma_bag(folder / "bag", drive(4.0, keep=lambda topic, t: topic != IMAGE or t <= 1.5))
    wrong = _refused(converted(bag), "images.top ends 2.5", "15 frames are no whole episode")
    job = converted(bag, keep_stale=True)
    return wrong or ("" if "beyond_limits" in job.provenance else "kept without a mark")


@case
def a_camera_that_begins_late(folder: Path) -> str:
    bag = emma_bag(folder / "bag", drive(4.0, keep=lambda topic, t: topic != IMAGE or t >= 1.5))
    job = converted(bag)
    return "" if any("images.top begins 1.520 s" in note for note in job.notes) else f"{job.refused} {job.notes}"


@case
def a_camera_that_freezes(folder: Path) -> str:
    frozen = image(START_NS, 7)
    sent = [(t, k, ns, frozen if t == IMAGE and ns > START_NS + NS else data) for t, k, ns, data in drive(4.0)]
    sent = [(t, k, ns, restamped(data, ns - IMAGE_DELAY_NS) if t == IMAGE else data) for t, k, ns, data in sent]
    job = converted(emma_bag(folder / "bag", sent))
    return "" if any("top shows one picture" in note for note in job.notes) else f"{job.refused} {job.notes}"


@case
def commands_that_pause(folder: Path) -> str:
    bag = emma_bag(folder / "bag", drive(4.0, keep=lambda topic, t: topic != COMMAND or not 1.0 < t < 2.0))
    job = converted(bag)
    return "" if any("command pauses for up to" in note for note in job.notes) else f"{job.refused} {job.notes}"


@case
def commands_that_begin_late(folder: Path) -> str:
    bag = emma_bag(folder / "bag", drive(4.0, keep=lambda topic, t: topic != COMMAND or t >= 1.0))
    job = converted(bag)
    return "" if any("command begins 1.000 s" in note for note in job.notes) else f"{job.refused} {job.notes}"


@case
def pictures_with_bytes_too_many(folder: Path) -> str:
    sent = [(t, k, ns, longer(data) if t == IMAGE else data) for t, k, ns, data in drive()]
    return _refused(converted(emma_bag(folder / "bag", sent)), "bytes too many")


@case
def degrees_where_radians_are_declared(folder: Path) -> str:
    degrees = [
        (t, k, ns, joint_state(ns, NAMES, np.degrees(state_at((ns - START_NS) / NS)) - 90) if t == STATE else data)
        for t, k, ns, data in drive()
    ]
    bag = emma_bag(folder / "bag", degrees)
    return _refused(converted(bag), "joint a on /joint_states is far beyond its limits", "degrees", "rad")


@case
def links_to_episodes(folder: Path) -> str:
    emma_bag(folder / "disk/bag", drive(1.0))
    (folder / "bags").mkdir()
    (folder / "bags/link").symlink_to(folder / "disk/bag")
    if find_bags(folder / "bags") != [folder / "bags/link"]:
        return "not found"
    return _follows(converted(folder / "bags/link"), 11)


@case
def a_file_where_the_dataset_should_be(folder: Path) -> str:
    from emma.conversion.convert import convert

    emma_bag(folder / "bags/bag", drive(1.0))
    (folder / "data").write_text("something else")
    for out in (folder / "data", folder / "data/below"):
        try:
            convert(folder / "bags", out, robot(), ConvertConfig(instruction="test"))
        except EmmaError as error:
            if str(folder / "data") not in str(error):
                return f"does not name the file: {error}"
        else:
            return "converted"
    return "" if (folder / "data").read_text() == "something else" else "overwritten"


@case
def one_bad_bag_among_good_ones(folder: Path) -> str:
    from emma.conversion.convert import convert

    for name in ("a", "b", "c", "d"):
        emma_bag(folder / "bags" / name, drive(1.0))
    emma_bag(folder / "bags/b2", [(COMMAND, RAW, ns, data) for _, _, ns, data in drive(0.1)])
    (folder / "bags/c/c_0.mcap").write_bytes(os.urandom(4000))
    shutil.rmtree(folder / "bags/d")
    (folder / "bags/d").mkdir()
    (folder / "bags/d/metadata.yaml").write_text("{}")
    report = convert(folder / "bags", folder / "data", robot(), ConvertConfig(instruction="test"))
    outcomes = {result.episode: result.outcome for result in report.results}
    wanted = {"a": "converted", "b": "converted", "b2": "refused", "c": "refused", "d": "refused"}
    return "" if outcomes == wanted else str(outcomes)
