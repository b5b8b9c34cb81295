"""Reading bags: our own, and those that other writers made (rosbags' MCAP and sqlite3, mcap's own writer)."""

import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mcap.writer import CompressionType
from mcap.writer import Writer as McapLibraryWriter
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as RosbagsWriter

from emma.bags.message_definitions import definition, typestore
from emma.bags.reader import Bag, LazyMessage, read_bag
from emma.bags.writer import BagWriter
from emma.errors import EmmaError
from emma.messages import stamp_ns

IMAGE, STRING = "sensor_msgs/msg/Image", "std_msgs/msg/String"
Sent = list[tuple[str, str, int, bytes]]


def image(stamp: int, seed: int, size: int = 8) -> bytes:
    types = typestore().types
    data = np.random.default_rng(seed).integers(0, 255, size * size * 3, np.uint8)
    time = types["builtin_interfaces/msg/Time"](sec=stamp // 10**9, nanosec=stamp % 10**9)
    message = types[IMAGE](
        header=types["std_msgs/msg/Header"](stamp=time, frame_id="c"),
        height=size,
        width=size,
        encoding="rgb8",
        is_bigendian=0,
        step=size * 3,
        data=data,
    )
    return bytes(typestore().serialize_cdr(message, IMAGE))


def text(words: str) -> bytes:
    return bytes(typestore().serialize_cdr(typestore().types[STRING](data=words), STRING))


def mixed(count: int = 30) -> Sent:
    """Images stamped 20 ms before they arrive, and texts without a stamp."""
    start = 1_700_000_000_000_000_000
    sent: Sent = []
    for i in range(count):
        log = start + i * 10_000_000
        if i % 3:
            sent.append(("/image", IMAGE, log, image(log - 20_000_000, i)))
        else:
            sent.append(("/text", STRING, log, text(f"word {i}")))
    return sent


def ours(folder: Path, sent: Sent, **options: object) -> Path:
    with BagWriter(folder, chunk_bytes=1000, **options) as bag:  # type: ignore[arg-type]
        for topic, kind, log, data in sent:
            bag.add_topic(topic, kind)
            bag.write(topic, log, log, data)
    return folder


def unfinished(folder: Path, sent: Sent) -> Path:
    bag = BagWriter(folder, chunk_bytes=1000)
    for topic, kind, log, data in sent:
        bag.add_topic(topic, kind)
        bag.write(topic, log, log, data)
    bag.flush()
    bag.abort()
    return folder


def rosbags(plugin: StoragePlugin, mode: CompressionMode = CompressionMode.NONE, version: int = 9) -> Callable:
    def write(folder: Path, sent: Sent) -> Path:
        writer = RosbagsWriter(folder, version=version, storage_plugin=plugin)  # type: ignore[arg-type]
        writer.set_compression(mode, CompressionFormat.ZSTD)
        with writer:
            connections: dict = {}
            for topic, kind, log, data in sent:
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=typestore())
                writer.write(connections[topic], log, data)
        return folder

    return write


def library(compression: CompressionType) -> Callable:
    def write(folder: Path, sent: Sent) -> Path:
        folder.mkdir()
        with (folder / "some.mcap").open("wb") as file:
            writer = McapLibraryWriter(file, chunk_size=1000, compression=compression)
            writer.start("ros2")
            channels: dict = {}
            for topic, kind, log, data in sent:
                if topic not in channels:
                    described = definition(kind)
                    assert described is not None
                    schema = writer.register_schema(kind, "ros2msg", described.text.encode())
                    channels[topic] = writer.register_channel(topic, "cdr", schema)
                writer.add_message(channels[topic], log, data, log)
            writer.finish()
        return folder

    return write


WRITERS = {
    "ours": ours,
    "ours compressed": lambda folder, sent: ours(folder, sent, compress=True),
    "unfinished": unfinished,
    "rosbags mcap": rosbags(StoragePlugin.MCAP),
    "rosbags mcap, chunks zstd": rosbags(StoragePlugin.MCAP, CompressionMode.STORAGE),
    "rosbags sqlite3": rosbags(StoragePlugin.SQLITE3),
    "rosbags sqlite3 v8": rosbags(StoragePlugin.SQLITE3, version=8),
    "rosbags sqlite3, messages zstd": rosbags(StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
    "rosbags sqlite3, file zstd": rosbags(StoragePlugin.SQLITE3, CompressionMode.FILE),
    "mcap library lz4": library(CompressionType.LZ4),
    "mcap library zstd": library(CompressionType.ZSTD),
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
    folder = ours(tmp_path / "bag", sent)
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
    folder = ours(tmp_path / "bag", sent[:10])
    ours(tmp_path / "rest", sent[10:])
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
        with pytest.raises(EmmaError, match="/odd has a type nobody describes"):
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
