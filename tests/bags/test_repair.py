"""Repair: on a copy, never on a file that something writes, and the original stays until it is confirmed."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from mcap.writer import IndexType

import emma.bags.repair
from emma.bags.file_users import still, writers_of
from emma.bags.message_definitions import typestore
from emma.bags.reader import Bag
from emma.bags.repair import discard_originals, repair, repair_all
from emma.bags.writer import BagWriter
from emma.bench.inputs.forms import files_packed, library_bag
from emma.errors import EmmaError

STRING = "std_msgs/msg/String"


def text(words: str) -> bytes:
    return bytes(typestore().serialize_cdr(typestore().types[STRING](data=words), STRING))


def torn_bag(folder: Path, count: int = 40) -> bytes:
    """An unfinished bag of another recorder: no episode.yaml, no metadata.yaml. Returns the file."""
    bag = BagWriter(folder, chunk_bytes=200)
    bag.add_topic("/a", STRING)
    for i in range(count):
        bag.write("/a", 1000 + i, 1000 + i, text(f"word {i}"))
    bag.flush()
    bag.abort()
    return next(folder.glob("*.mcap")).read_bytes()


def words(folder: Path) -> list[str]:
    with Bag(folder) as bag:
        assert bag.damage == ()
        return [message.message.data for message in bag.messages()]


@pytest.fixture
def foreign_writer(tmp_path: Path) -> Iterator[subprocess.Popen]:
    """Another process that has the file of `tmp_path/bag` open for appending, as a recorder does."""
    torn_bag(tmp_path / "bag")
    code = "import sys; f = open(sys.argv[1], 'ab'); print('open', flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "bag/bag_0.mcap"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == "open\n"
    yield child
    child.stdin.close()
    child.wait()
    child.stdout.close()


def test_a_file_that_another_process_writes_is_left_alone(tmp_path: Path, foreign_writer: subprocess.Popen) -> None:
    file = tmp_path / "bag/bag_0.mcap"
    before = file.read_bytes()
    report = repair(tmp_path / "bag", settle_s=0)
    assert report.action == "busy"
    assert f"(process {foreign_writer.pid})" in str(report)
    assert file.read_bytes() == before
    assert os.listdir(tmp_path / "bag") == ["bag_0.mcap"]
    foreign_writer.stdin.close()  # type: ignore[union-attr]
    foreign_writer.wait()
    assert repair(tmp_path / "bag", settle_s=0).action == "recovered"


def test_a_reader_is_no_writer(tmp_path: Path) -> None:
    torn_bag(tmp_path / "bag")
    file = tmp_path / "bag/bag_0.mcap"
    with file.open("rb"):
        assert writers_of([file]) == []
    with file.open("ab"):
        [writer] = writers_of([file])
    assert f"process {os.getpid()}" in writer


def test_a_file_that_grows_is_left_alone(tmp_path: Path) -> None:
    """Its writer opens it anew for every piece, so that no process is seen to have it open."""
    torn_bag(tmp_path / "bag")
    file, stop = tmp_path / "bag/bag_0.mcap", Event()

    def grow() -> None:
        while not stop.wait(0.01):
            with file.open("ab") as more:
                more.write(b"x")

    thread = Thread(target=grow)
    thread.start()
    try:
        report = repair(tmp_path / "bag")
    finally:
        stop.set()
        thread.join()
    assert report.action == "busy"
    assert "still growing" in str(report) or "still written" in str(report)
    assert not list((tmp_path / "bag").glob("*.original"))


def test_files_that_changed_long_ago_are_still(tmp_path: Path) -> None:
    torn_bag(tmp_path / "bag")
    file = tmp_path / "bag/bag_0.mcap"
    old = time.time() - 3600
    os.utime(file, (old, old))
    assert still([file], 60.0)


def test_the_original_stays_until_it_is_discarded(tmp_path: Path) -> None:
    before = torn_bag(tmp_path / "bag")[:-30]
    file = tmp_path / "bag/bag_0.mcap"
    file.write_bytes(before)
    heard: list[str] = []
    report = repair(tmp_path / "bag", settle_s=0, on_copy=heard.append)
    [original] = report.originals
    assert original.name == "bag_0.mcap.original"
    assert "bag_0.mcap.original" in str(report)
    assert original.read_bytes() == before
    assert "repairing a copy" in heard[0]
    got = words(tmp_path / "bag")
    assert got == [f"word {i}" for i in range(len(got))]
    assert len(got) >= 37
    # What is kept is no second bag.
    assert repair_all(tmp_path)[0].action == "untouched"
    assert discard_originals(tmp_path) == [original]
    assert words(tmp_path / "bag") == got


@pytest.mark.parametrize("with_metadata", [True, False])
def test_compressed_files_beside_a_torn_one_stay_in_the_bag(tmp_path: Path, with_metadata: bool) -> None:
    sent = [("/a", STRING, 1000 + i, text(f"word {i}")) for i in range(60)]
    folder = files_packed(tmp_path / "bag", sent)
    last = folder / "bag_2.mcap"
    last.write_bytes(last.read_bytes()[:-40])
    if not with_metadata:
        (folder / "metadata.yaml").unlink()
    assert repair(folder, settle_s=0).action == "recovered"
    assert words(folder) == [f"word {i}" for i in range(60)]
    assert repair(folder, settle_s=0).action == "untouched"


def test_originals_of_unfinished_files_are_not_discarded(tmp_path: Path) -> None:
    torn_bag(tmp_path / "bag")
    shutil.copy(tmp_path / "bag/bag_0.mcap", tmp_path / "bag/bag_0.mcap.original")
    assert discard_originals(tmp_path) == []


def test_a_file_that_changes_meanwhile_is_as_its_writer_left_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torn_bag(tmp_path / "bag")
    file = tmp_path / "bag/bag_0.mcap"
    complete = emma.bags.repair._complete

    def late(found: object, path: Path) -> None:
        complete(found, path)  # type: ignore[arg-type]
        with file.open("ab") as more:
            more.write(b"more")

    monkeypatch.setattr(emma.bags.repair, "_complete", late)
    with pytest.raises(EmmaError, match="changed while it was repaired"):
        repair(tmp_path / "bag", settle_s=0)
    assert file.read_bytes() == before + b"more"
    assert os.listdir(tmp_path / "bag") == ["bag_0.mcap"]


def test_a_second_repair_keeps_both_originals(tmp_path: Path) -> None:
    torn_bag(tmp_path / "bag")
    file = tmp_path / "bag/bag_0.mcap"
    for number in (1, 2):
        file.write_bytes(file.read_bytes()[:-40])
        (tmp_path / "bag/metadata.yaml").unlink(missing_ok=True)
        assert repair(tmp_path / "bag", settle_s=0).action == "recovered", number
    assert sorted(p.name for p in (tmp_path / "bag").glob("*.mcap.*")) == [
        "bag_0.mcap.original",
        "bag_0.mcap.original2",
    ]


def private_record(opcode: int = 0x93) -> bytes:
    return bytes([opcode]) + (7).to_bytes(8, "little") + b"private"


@pytest.mark.parametrize("opcode", [0x10, 0x7F, 0x80, 0x93, 0xFF])
def test_records_of_unknown_opcodes_are_skipped(tmp_path: Path, opcode: int) -> None:
    """https://mcap.dev/spec: opcodes 0x80 to 0xFF are private, and a reader skips what it does not know."""
    whole = torn_bag(tmp_path / "bag")
    chunk = whole.index(b"\x06")
    with Bag(tmp_path / "bag") as bag:
        second = bag._sources[0]._starts[1]  # type: ignore[attr-defined]
    file = tmp_path / "bag/bag_0.mcap"
    file.write_bytes(whole[:second] + private_record(opcode) + whole[second:])
    assert chunk < second
    assert words(tmp_path / "bag") == [f"word {i}" for i in range(40)]
    report = repair(tmp_path / "bag", settle_s=0)
    assert (report.messages, report.cut_bytes) == (40, 0)
    assert words(tmp_path / "bag") == [f"word {i}" for i in range(40)]
    assert private_record(opcode) in file.read_bytes()


def library_words(folder: Path, options: dict) -> Path:
    """40 words by the mcap library; returns the file."""
    sent = [("/a", STRING, 1000 + i, text(f"word {i}")) for i in range(40)]
    library_bag(folder, sent, chunk_size=300, **options)
    return folder / f"{folder.name}.mcap"


FORMS = {
    "no message indexes": {"index_types": IndexType.CHUNK | IndexType.ATTACHMENT},
    "no indexes": {"index_types": IndexType.NONE},
    "no chunks": {"use_chunking": False},
    "no summary": {"use_statistics": False, "use_summary_offsets": False, "repeat_channels": False},
    "nothing optional": {
        "index_types": IndexType.NONE,
        "use_statistics": False,
        "use_summary_offsets": False,
        "repeat_channels": False,
        "repeat_schemas": False,
    },
    "data section CRC": {"enable_data_crcs": True, "use_chunking": False},
}


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS.keys())
def test_optional_parts_of_a_file_are_optional(tmp_path: Path, options: dict) -> None:
    file = library_words(tmp_path / "bag", options)
    assert words(file.parent) == [f"word {i}" for i in range(40)]
    whole = file.read_bytes()
    # metadata.yaml is missing; the file itself is whole and stays as it is.
    report = repair(file.parent, settle_s=0)
    assert (report.action, report.messages, report.originals) == ("recovered", 40, ())
    assert file.read_bytes() == whole
    assert words(file.parent) == [f"word {i}" for i in range(40)]


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS.keys())
def test_files_of_every_form_torn_anywhere_lose_nothing_readable(tmp_path: Path, options: dict) -> None:
    whole = library_words(tmp_path / "bag", options).read_bytes()
    for length in range(400, len(whole), 397):
        folder = tmp_path / f"cut{length}"
        folder.mkdir()
        (folder / "some.mcap").write_bytes(whole[:length])
        with Bag(folder) as bag:
            before = [bytes(bag.raw(i)) for i in range(len(bag.index))]
        repair(folder, settle_s=0)
        with Bag(folder) as bag:
            assert bag.finished
            assert [bytes(bag.raw(i)) for i in range(len(bag.index))] == before, length
