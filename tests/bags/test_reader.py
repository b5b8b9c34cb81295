"""Reading bags: our own, and those that other writers made (rosbags' MCAP and sqlite3, mcap's own writer)."""

import sqlite3
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from mcap.writer import CompressionType
from messages_sent import IMAGE, STRING, image, mixed, text
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from emma.bags.reader import Bag, LazyMessage, read_bag
from emma.bags.writer import BagWriter
from emma.bench.inputs.forms import (
    MakeBag,
    emma_bag,
    files_packed,
    library_bag,
    rosbags_bag,
    split_bag,
    sqlite_with_log,
    unfinished_bag,
)
from emma.errors import EmmaError
from emma.messages import stamp_ns

SQLITE3, MODE = StoragePlugin.SQLITE3, CompressionMode
WRITERS: dict[str, MakeBag] = {
    "ours": emma_bag,
    "ours compressed": partial(emma_bag, compress=True),
    "unfinished": unfinished_bag,
    "rosbags mcap": rosbags_bag,
    "rosbags mcap, chunks zstd": partial(rosbags_bag, mode=MODE.STORAGE),
    "rosbags sqlite3": partial(rosbags_bag, plugin=SQLITE3),
    "rosbags sqlite3 v8": partial(rosbags_bag, plugin=SQLITE3, version=8),
    "rosbags sqlite3, messages zstd": partial(rosbags_bag, plugin=SQLITE3, mode=MODE.MESSAGE),
    "rosbags sqlite3, file zstd": partial(rosbags_bag, plugin=SQLITE3, mode=MODE.FILE),
    "sqlite3 with a write-ahead log": sqlite_with_log,
    "split": split_bag,
    "split, files zstd but the last": files_packed,
    "mcap library lz4": partial(library_bag, compression=CompressionType.LZ4),
    "mcap library zstd": library_bag,
}


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS.keys())
def test_every_bag_gives_back_its_messages(tmp_path: Path, writer: Callable) -> None:
    sent = mixed()
    folder = writer(tmp_path / "bag", sent)
    with Bag(folder) as bag:
        assert {t.name: t.type for t in bag.topics.values()} == {"/image": IMAGE, "/text": STRING}
        got = [
            (bag.topic(int(bag.index.topic[i])).name, int(bag.index.log_ns[i]), bytes(bag.raw(i)))
            for i in range(len(bag.index))
        ]
        assert sorted(got, key=lambda m: m[1]) == [(topic, log, data) for topic, _, log, data in sent]
    messages = list(read_bag(folder, ["/text"]))
    assert [m.message.data for m in messages] == [f"word {i}" for i in range(0, 30, 3)]


@pytest.mark.parametrize("name", ["ours", "ours compressed", "rosbags sqlite3", "mcap library lz4"])
def test_stamps_come_from_the_header_without_decoding(tmp_path: Path, name: str) -> None:
    sent = mixed()
    with Bag(WRITERS[name](tmp_path / "bag", sent)) as bag:
        index = bag.index
        images = index.of(bag.topics["/image"].number)
        np.testing.assert_array_equal(index.stamp_ns[images], index.log_ns[images] - 20_000_000)
        texts = index.of(bag.topics["/text"].number)
        np.testing.assert_array_equal(index.stamp_ns[texts], index.log_ns[texts])
        lazy = bag.lazy(int(images[0]))
        assert stamp_ns(lazy) == index.stamp_ns[images[0]]
        assert lazy._message is None
        assert (lazy.height, lazy.encoding, len(lazy.data)) == (8, "rgb8", 192)
        assert not hasattr(lazy, "format")
        assert stamp_ns(LazyMessage(bag, int(texts[0]))) is None


def test_big_endian_stamps(tmp_path: Path) -> None:
    data = b"\x00\x00\x00\x00" + struct.pack(">iI", 7, 5) + bytes(40)
    with BagWriter(tmp_path / "bag") as bag:
        bag.add_topic("/image", IMAGE)
        bag.write("/image", 1, 1, data)
        bag.write("/image", 2, 2, b"\x00")
    with Bag(tmp_path / "bag") as bag:
        assert bag.index.stamp_ns.tolist() == [7_000_000_005, 2]


def test_a_single_file_and_a_bag_without_metadata(tmp_path: Path) -> None:
    sent = mixed()
    folder = emma_bag(tmp_path / "bag", sent)
    with Bag(folder / "bag_0.mcap") as bag:
        assert len(bag.index) == len(sent)
    (folder / "metadata.yaml").unlink()
    with Bag(folder) as bag:
        assert len(bag.index) == len(sent)
    (folder / "metadata.yaml").write_text("rosbag2_bagfile_information: [1, 2\n")
    with Bag(folder) as bag:
        assert len(bag.index) == len(sent)


def test_a_bag_in_several_files(tmp_path: Path) -> None:
    sent = mixed()
    folder = emma_bag(tmp_path / "bag", sent[:10])
    emma_bag(tmp_path / "rest", sent[10:])
    (tmp_path / "rest/rest_0.mcap").rename(folder / "bag_1.mcap")
    (folder / "metadata.yaml").unlink()
    with Bag(folder) as bag:
        assert len(bag.index) == 30
        assert set(bag.index.file.tolist()) == {0, 1}
        order = bag.index.log_ns.argsort()
        assert bytes(bag.raw(int(order[29]))) == sent[29][3]


def test_a_type_nobody_describes_is_named_when_it_is_wanted(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        writer.add_topic("/odd", "nowhere_msgs/msg/Odd")
        writer.add_topic("/text", STRING)
        writer.write("/odd", 1, 1, b"\x00\x01\x00\x00")
        writer.write("/text", 2, 2, text("hello"))
    with Bag(tmp_path / "bag") as bag:
        assert [m.message.data for m in bag.messages(["/text"])] == ["hello"]
        with pytest.raises(EmmaError, match="/odd has a type without a definition"):
            list(bag.messages())


def test_broken_payloads_are_named(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        writer.add_topic("/image", IMAGE)
        writer.write("/image", 1, 1, image(5, 1)[:40])
    with Bag(tmp_path / "bag") as bag, pytest.raises(EmmaError, match="a message on /image cannot be decoded"):
        bag.message(0)


def test_what_is_no_bag_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmmaError, match="no bag at"):
        Bag(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(EmmaError, match="no bag at"):
        Bag(tmp_path / "notes.txt")
    with pytest.raises(EmmaError, match="holds no bag"):
        Bag(tmp_path)
    (tmp_path / "broken.db3").write_text("x")
    with pytest.raises(EmmaError, match="not a readable sqlite3 bag"):
        Bag(tmp_path)
    sqlite3.connect(tmp_path / "other.db3").execute("CREATE TABLE t (x)").connection.close()
    with pytest.raises(EmmaError, match="not a readable sqlite3 bag"):
        Bag(tmp_path / "other.db3")
    (tmp_path / "broken.mcap").write_text("not an mcap file")
    with pytest.raises(EmmaError, match="not an MCAP file"):
        Bag(tmp_path / "broken.mcap")
