"""Files as recorders, disks and people leave them: unfinished, packed, damaged, gone, linked, in the way."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import zstandard
from mcap.writer import IndexType

from emma.bags.files import find_bags
from emma.bags.reader import Bag
from emma.bags.repair import repair
from emma.bench.inputs.cases.case import Case, case_of
from emma.bench.inputs.cases.outcome import converted, follows, refused
from emma.bench.inputs.forms import (
    emma_bag,
    files_packed,
    library_bag,
    messages_packed,
    split_bag,
    sqlite_with_log,
    unfinished_bag,
)
from emma.bench.inputs.robot import COMMAND, RAW, drive, robot
from emma.conversion.config import ConvertConfig
from emma.errors import EmmaError

CASES: list[Case] = []


WRITER = "import sys; f = open(sys.argv[1], 'ab'); print('open', flush=True); sys.stdin.read()"


@case_of(CASES)
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
    return refused(job, "still written by", str(writer.pid))


@case_of(CASES)
def repair_keeps_the_original(folder: Path) -> str:
    bag = unfinished_bag(folder / "bag", drive(1.0))
    [file] = bag.glob("*.mcap")
    before = file.read_bytes()
    report = repair(bag, settle_s=0)
    if [path.read_bytes() for path in report.originals] != [before]:
        return f"the original is gone: {report}"
    return follows(converted(bag), 11)


@case_of(CASES)
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


@case_of(CASES)
def no_message_indexes(folder: Path) -> str:
    bag = library_bag(folder / "bag", drive(), index_types=IndexType.NONE, repeat_channels=False)
    return follows(converted(bag), 21)


@case_of(CASES)
def no_chunks(folder: Path) -> str:
    return follows(converted(library_bag(folder / "bag", drive(), use_chunking=False)), 21)


@case_of(CASES)
def a_write_ahead_log(folder: Path) -> str:
    return follows(converted(sqlite_with_log(folder / "bag", drive())), 21, "was not closed")


@case_of(CASES)
def messages_compressed_one_by_one(folder: Path) -> str:
    return follows(converted(emma_bag(folder / "bag", messages_packed(drive()))), 21)


@case_of(CASES)
def a_garbage_payload(folder: Path) -> str:
    sent = list(messages_packed(drive()))
    sent[20] = (*sent[20][:3], zstandard.compress(b"x")[:6] + b"garbage")
    bag = emma_bag(folder / "bag", sent)
    wrong = refused(converted(bag), "1 messages cannot be decompressed")
    return wrong or follows(converted(bag, keep_damaged=True), 21, "1 messages cannot be decompressed")


@case_of(CASES)
def files_compressed_but_the_last(folder: Path) -> str:
    bag = files_packed(folder / "bag", drive())
    wrong = follows(converted(bag), 21)
    (bag / "metadata.yaml").unlink()
    return wrong or follows(converted(bag), 21)


@case_of(CASES)
def a_file_that_metadata_promises_is_gone(folder: Path) -> str:
    bag = split_bag(folder / "bag", drive(), parts=3)
    (bag / "bag_2.mcap").unlink()
    return refused(converted(bag), "bag_2.mcap is gone", "promises")


@case_of(CASES)
def a_chunk_that_fails_its_crc(folder: Path) -> str:
    bag = emma_bag(folder / "bag", drive())
    [file] = bag.glob("*.mcap")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)
    return refused(converted(bag), "CRC")


@case_of(CASES)
def links_to_episodes(folder: Path) -> str:
    emma_bag(folder / "disk/bag", drive(1.0))
    (folder / "bags").mkdir()
    (folder / "bags/link").symlink_to(folder / "disk/bag")
    if find_bags(folder / "bags") != [folder / "bags/link"]:
        return "not found"
    return follows(converted(folder / "bags/link"), 11)


@case_of(CASES)
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


@case_of(CASES)
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
