"""Bags in every form that rosbag2 and MCAP allow, and in some that killed recorders leave."""

import os
import shutil
import sqlite3
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from messages_sent import IMAGE, STRING, image, mixed, text
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from emma.bags.files import bag_files, find_bags
from emma.bags.reader import Bag
from emma.bags.writer import BagWriter
from emma.bench.inputs.forms import (
    emma_bag,
    library_bag,
    messages_packed,
    pack_file,
    rosbags_bag,
    split_bag,
    sqlite_bag,
    sqlite_with_log,
)
from emma.errors import EmmaError


def payloads(folder: Path) -> list[bytes]:
    with Bag(folder) as bag:
        return [bytes(bag.raw(int(i))) for i in bag.index.log_ns.argsort(kind="stable")]


def damage(folder: Path) -> str:
    with Bag(folder) as bag:
        return "; ".join(bag.damage)


def notes(folder: Path) -> str:
    with Bag(folder) as bag:
        return "; ".join(bag.notes)


def test_rows_in_a_write_ahead_log_are_read(tmp_path: Path) -> None:
    sent = mixed()
    folder = sqlite_with_log(tmp_path / "bag", sent)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert payloads(folder) == [data for *_, data in sent]
    assert "was not closed: read together with bag_0.db3-wal" in notes(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("plugin", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
@pytest.mark.parametrize("with_metadata", [True, False])
def test_messages_compressed_one_by_one_keep_their_stamps(
    tmp_path: Path, plugin: StoragePlugin, with_metadata: bool
) -> None:
    sent = mixed()
    folder = tmp_path / "bag"
    if plugin == StoragePlugin.SQLITE3:
        rosbags_bag(folder, sent, plugin=plugin, mode=CompressionMode.MESSAGE)
    else:
        emma_bag(folder, messages_packed(sent))
    if not with_metadata:
        (folder / "metadata.yaml").unlink()
    with Bag(folder) as bag:
        index = bag.index
        images = index.of(bag.topics["/image"].number)
        assert (index.log_ns[images] - index.stamp_ns[images] == 20_000_000).all()
        assert bag.message(int(images[0])).encoding == "rgb8"
    assert payloads(folder) == [data for *_, data in sent]
    assert damage(folder) == ""


def test_a_garbage_payload_costs_itself_only(tmp_path: Path) -> None:
    sent = mixed()
    packed = list(messages_packed(sent))
    packed[7] = (*packed[7][:3], packed[7][3][:4] + b"\xff" * 40)
    packed[8] = (*packed[8][:3], packed[8][3][:-5])
    folder = emma_bag(tmp_path / "bag", packed)
    assert payloads(folder) == [data for i, (*_, data) in enumerate(sent) if i not in (7, 8)]
    assert "2 messages cannot be decompressed" in damage(folder)


@pytest.mark.parametrize("with_metadata", [True, False])
@pytest.mark.parametrize("plain", [(), (11,), (0, 5)])
def test_files_compressed_whole_with_some_still_plain(tmp_path: Path, with_metadata: bool, plain: tuple) -> None:
    sent = mixed()
    folder = split_bag(tmp_path / "bag", sent, 12)
    for number in range(12):
        if number not in plain:
            pack_file(folder / f"bag_{number}.mcap")
    if with_metadata:
        text = (folder / "metadata.yaml").read_text().replace(".mcap", ".mcap.zstd")
        (folder / "metadata.yaml").write_text(text)
    else:
        (folder / "metadata.yaml").unlink()
    assert find_bags(tmp_path) == [folder]
    assert payloads(folder) == [data for *_, data in sent]
    assert damage(folder) == ""
    with Bag(folder) as bag:
        assert [path.name.removesuffix(".zstd") for path in bag.files] == [f"bag_{i}.mcap" for i in range(12)]


def test_a_compressed_file_cut_short_is_unfinished(tmp_path: Path) -> None:
    folder = emma_bag(tmp_path / "bag", mixed())
    pack_file(folder / "bag_0.mcap")
    packed = folder / "bag_0.mcap.zstd"
    packed.write_bytes(packed.read_bytes()[:-500])
    with Bag(folder) as bag:
        assert not bag.finished
        assert "cut short" in "; ".join(bag.damage)


@pytest.mark.parametrize("twin_is_whole", [True, False])
def test_a_plain_file_comes_before_its_compressed_twin(tmp_path: Path, twin_is_whole: bool) -> None:
    sent = mixed()
    folder = emma_bag(tmp_path / "bag", sent)
    packed = zstandard.compress((folder / "bag_0.mcap").read_bytes())
    (folder / "bag_0.mcap.zstd").write_bytes(packed if twin_is_whole else packed[:100])
    for _ in range(2):
        assert payloads(folder) == [data for *_, data in sent]
        (folder / "metadata.yaml").unlink(missing_ok=True)


def test_what_metadata_promises_is_compared(tmp_path: Path) -> None:
    folder = split_bag(tmp_path / "bag", mixed(), 12)
    assert damage(folder) == ""
    (folder / "bag_7.mcap").unlink()
    found = damage(folder)
    assert "bag_7.mcap is gone: metadata.yaml lists 12 files" in found
    assert "metadata.yaml promises 20 messages of /image, there are 18" in found


def test_files_that_metadata_does_not_list_are_named(tmp_path: Path) -> None:
    folder = emma_bag(tmp_path / "bag", mixed())
    shutil.copy(folder / "bag_0.mcap", folder / "another.mcap")
    assert len(payloads(folder)) == 30
    assert "left out, because metadata.yaml does not list it: another.mcap" in notes(folder)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"- 1", b"rosbag2_bagfile_information: 3", b"a: [", b"[" * 1500])
def test_a_damaged_metadata_yaml_is_named(tmp_path: Path, content: bytes) -> None:
    folder = emma_bag(tmp_path / "bag", mixed())
    (folder / "metadata.yaml").write_bytes(content)
    assert len(payloads(folder)) == 30
    assert "metadata.yaml is damaged" in notes(folder)


def flip(path: Path, at: int, bits: int = 0x10) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= bits
    path.write_bytes(data)


@pytest.mark.parametrize("compress", [False, True])
def test_chunks_that_fail_their_crc_are_left_out_and_counted(tmp_path: Path, compress: bool) -> None:
    sent = mixed(120)
    folder = emma_bag(tmp_path / "bag", sent, compress=compress)
    with Bag(folder) as bag:
        starts = bag._sources[0]._starts  # type: ignore[attr-defined]
    flip(folder / "bag_0.mcap", (starts[5] + starts[6]) // 2 - 60)
    got = payloads(folder)
    assert set(got) < {data for *_, data in sent}
    found = damage(folder)
    assert "1 chunks fail their CRC or size" in found
    assert "metadata.yaml promises" in found


def test_a_broken_chunk_head_costs_that_chunk_only(tmp_path: Path) -> None:
    sent = mixed(120)
    folder = emma_bag(tmp_path / "bag", sent)
    with Bag(folder) as bag:
        starts = bag._sources[0]._starts  # type: ignore[attr-defined]
        per_chunk = len(bag.index) / len(starts)
    for byte in (1, 3, 6):
        shutil.copytree(folder, tmp_path / f"{byte}")
        broken = tmp_path / f"{byte}"
        (broken / "bag_0.mcap").rename(broken / f"{byte}_0.mcap")
        flip(broken / f"{byte}_0.mcap", starts[5] + byte)
        assert len(payloads(broken)) >= len(sent) - 3 * per_chunk
        assert "are no records" in damage(broken)


def test_a_data_section_crc_is_checked(tmp_path: Path) -> None:
    folder = library_bag(tmp_path / "bag", mixed(), enable_data_crcs=True, use_chunking=False)
    raw = (folder / "bag.mcap").read_bytes()
    flip(folder / "bag.mcap", raw.index(b"word 21"))
    assert "the data section fails its CRC" in damage(folder)


def test_a_damaged_summary_is_an_unfinished_file(tmp_path: Path) -> None:
    folder = emma_bag(tmp_path / "bag", mixed())
    raw = (folder / "bag_0.mcap").read_bytes()
    start, _, crc = struct.unpack("<QQI", raw[-28:-8])
    assert crc == zlib.crc32(raw[start:-12])
    flip(folder / "bag_0.mcap", start + 30)
    with Bag(folder) as bag:
        assert not bag.finished
        assert len(bag.index) == 30


def test_storages_without_checksums_are_named(tmp_path: Path) -> None:
    assert "no checksums" in notes(sqlite_bag(tmp_path / "a", mixed()))
    assert "no checksums" in notes(emma_bag(tmp_path / "b", mixed(), checksum=False))
    assert notes(emma_bag(tmp_path / "c", mixed())) == ""


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    folder = sqlite_bag(tmp_path / "bag", mixed())
    [file] = bag_files(folder)
    whole = file.read_bytes()
    last = len(whole) - 4096
    file.write_bytes(whole[:last] + b"\xff" * 8 + whole[last + 8 :])
    assert "the database is damaged" in damage(folder) or "reading stopped" in damage(folder)
    file.write_bytes(whole[:100])
    with pytest.raises(EmmaError, match="not a readable sqlite3 bag"):
        Bag(folder)


def test_rows_of_the_wrong_kind_are_counted(tmp_path: Path) -> None:
    sent = mixed()
    folder = sqlite_bag(tmp_path / "bag", sent)
    [file] = bag_files(folder)
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE messages SET data = 7 WHERE id = 3")
        connection.execute("UPDATE messages SET topic_id = 99 WHERE id = 4")
        connection.execute("UPDATE messages SET timestamp = 'late' WHERE id = 5")
    connection.close()
    assert payloads(folder) == [data for i, (*_, data) in enumerate(sent) if i not in (2, 3, 4)]
    assert "3 message records are broken" in damage(folder)


NAMES = ["a b", "50%", "a?b#c", "[x]*", "a'b\"c", "ü-日本", "new\nline", "&;$HOME", "trailing.", "-rf", "a.db3.b"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("write", [emma_bag, sqlite_bag], ids=["mcap", "sqlite3"])
def test_every_legal_character_in_a_path(tmp_path: Path, name: str, write: Callable) -> None:
    sent = mixed(6)
    write(tmp_path / "bag", sent)
    folder = tmp_path / name / name
    (tmp_path / name).mkdir()
    (tmp_path / "bag").rename(folder)
    assert find_bags(tmp_path) == [folder]
    assert payloads(folder) == [data for *_, data in sent]
    [file] = bag_files(folder)
    other = file.rename(file.with_name(f"{name}{file.suffix}"))
    assert payloads(other) == [data for *_, data in sent]
    assert payloads(folder) == [data for *_, data in sent]


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    emma_bag(tmp_path / "disk/e1", mixed(6))
    emma_bag(tmp_path / "bags/e2", mixed(6))
    (tmp_path / "bags/e1").symlink_to(tmp_path / "disk/e1")
    (tmp_path / "bags/again").symlink_to(tmp_path / "bags/e2")
    (tmp_path / "bags/e2/loop").symlink_to(tmp_path / "bags")
    (tmp_path / "bags/nowhere").symlink_to(tmp_path / "gone")
    assert find_bags(tmp_path / "bags") == [tmp_path / "bags/e1", tmp_path / "bags/e2"]
    os.symlink(tmp_path / "bags", tmp_path / "link")
    assert find_bags(tmp_path / "link") == [tmp_path / "link/e1", tmp_path / "link/e2"]


def test_two_types_on_a_topic_are_no_type(tmp_path: Path) -> None:
    folder = split_bag(tmp_path / "bag", [("/x", STRING, 1, text("a")), ("/x", IMAGE, 2, image(5, 1))], parts=2)
    with Bag(folder) as bag:
        assert bag.topics["/x"].type == f"{STRING} and {IMAGE}"
        with pytest.raises(EmmaError, match="/x"):
            bag.message(0)


def test_other_encodings_than_cdr_are_named(tmp_path: Path) -> None:
    from mcap.writer import Writer

    folder = tmp_path / "bag"
    folder.mkdir()
    with (folder / "x.mcap").open("wb") as file:
        writer = Writer(file)
        writer.start()
        schema = writer.register_schema("Thing", "jsonschema", b"{}")
        writer.add_message(writer.register_channel("/x", "json", schema), 1, b"{}", 1)
        writer.finish()
    with Bag(folder) as bag, pytest.raises(EmmaError, match="/x is not encoded as ROS 2") as caught:
        bag.message(0)
    assert caught.value.found == "json"


def test_zero_stamps_count_from_receipt(tmp_path: Path) -> None:
    sent = [("/image", IMAGE, 1000, image(0, 1)), ("/image", IMAGE, 2000, image(1500, 1))]
    with Bag(emma_bag(tmp_path / "bag", sent)) as bag:
        assert bag.index.stamp_ns.tolist() == [1000, 1500]
        assert bag.index.stamped.tolist() == [False, True]


def test_an_empty_message_store(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        bag.add_topic("/text", STRING)
    assert payloads(tmp_path / "bag") == []
    assert damage(tmp_path / "bag") == ""
