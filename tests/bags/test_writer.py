"""Bags as other people's readers see them: mcap, rosbags' rosbag2 reader and its AnyReader."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import yaml
from mcap.reader import make_reader
from mcap.stream_reader import StreamReader
from mcap_ros2.decoder import DecoderFactory
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import Reader, StoragePlugin
from rosbags.rosbag2 import Writer as RosbagsWriter

from emma.bags.append_file import IOV_MAX, write_all
from emma.bags.mcap_writer import McapWriter
from emma.bags.message_definitions import definition, typestore
from emma.bags.writer import BagWriter
from emma.errors import EmmaError

STRING = "std_msgs/msg/String"
STATE = "sensor_msgs/msg/JointState"
FOREVER = QosTime(9223372036, 854775807)
LATCHED = Qos(
    QosHistory.KEEP_LAST,
    10,
    QosReliability.RELIABLE,
    QosDurability.TRANSIENT_LOCAL,
    FOREVER,
    FOREVER,
    QosLiveliness.AUTOMATIC,
    FOREVER,
    False,
)


def string(text: str) -> bytes:
    store = typestore()
    return bytes(store.serialize_cdr(store.types[STRING](data=text), STRING))


def state(stamp_ns: int, positions: list[float]) -> bytes:
    store = typestore()
    header = store.types["std_msgs/msg/Header"](
        stamp=store.types["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9),
        frame_id="base",
    )
    empty = np.array([])
    message = store.types[STATE](
        header=header,
        name=[f"j{i}" for i in range(len(positions))],
        position=np.array(positions, np.float64),
        velocity=empty,
        effort=empty,
    )
    return bytes(store.serialize_cdr(message, STATE))


def write_mixed(path: Path, count: int = 40, **options: object) -> list[tuple[str, int, bytes]]:
    """`count` messages on two topics, receive times out of order by up to two steps."""
    sent = []
    with BagWriter(path, **options) as bag:  # type: ignore[arg-type]
        bag.add_topic("/state", STATE, [LATCHED])
        bag.add_topic("/text", STRING)
        for i in range(count):
            time_ns = 1_700_000_000_000_000_000 + (i ^ 1) * 1_000_000
            topic, data = ("/state", state(time_ns, [i, -i])) if i % 3 else ("/text", string("x" * i))
            bag.write(topic, time_ns, time_ns - 5, data, sequence=i)
            sent.append((topic, time_ns, data))
    return sent


@pytest.mark.parametrize("options", [{}, {"compress": True}, {"checksum": True}, {"chunk_bytes": 300}])
def test_every_reader_gives_back_the_bytes(tmp_path: Path, options: dict) -> None:
    sent = write_mixed(tmp_path / "bag", **options)
    in_order = sorted(sent, key=lambda message: message[1])
    with Reader(tmp_path / "bag") as reader:
        assert [(c.topic, t, bytes(d)) for c, t, d in reader.messages()] == in_order
        assert (reader.message_count, reader.duration) == (40, 39_000_001)
        qos = {c.topic: c.ext.offered_qos_profiles for c in reader.connections}
        assert qos == {"/state": [LATCHED], "/text": []}
        assert {c.topic: c.digest for c in reader.connections}["/text"] == typestore().hash_rihs01(STRING)
    with (tmp_path / "bag/bag_0.mcap").open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        got = [(c.topic, m.log_time, m.data, m.publish_time) for _, c, m in reader.iter_messages()]
        assert got == [(topic, t, data, t - 5) for topic, t, data in in_order]
        assert reader.get_header().profile == "ros2"
        assert reader.get_summary().statistics.message_count == 40
        file.seek(0)
        kinds = {type(record).__name__ for record in StreamReader(file, validate_crcs=True).records}
        assert {"Header", "Schema", "Channel", "Message", "Metadata", "DataEnd", "Footer"} <= kinds


def test_messages_decode_with_the_embedded_definitions_alone(tmp_path: Path) -> None:
    write_mixed(tmp_path / "bag")
    with AnyReader([tmp_path / "bag"]) as reader:
        for connection, time_ns, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            if connection.topic == "/state":
                assert message.header.stamp.sec * 10**9 + message.header.stamp.nanosec == time_ns
                assert message.position[0] == -message.position[1]
    with (tmp_path / "bag/bag_0.mcap").open("rb") as file:
        decoded = make_reader(file, decoder_factories=[DecoderFactory()]).iter_decoded_messages(["/text"])
        assert sorted(len(message.data) for *_, message in decoded) == list(range(0, 40, 3))


def test_a_bag_file_alone_opens_too(tmp_path: Path) -> None:
    sent = write_mixed(tmp_path / "bag")
    with Reader(tmp_path / "bag/bag_0.mcap") as reader:
        assert reader.message_count == len(sent)


def test_an_empty_bag_is_a_bag(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        bag.add_topic("/text", STRING)
    with Reader(tmp_path / "bag") as reader:
        assert reader.message_count == 0
        assert [c.topic for c in reader.connections] == ["/text"]
        assert list(reader.messages()) == []


def test_large_messages_and_more_buffers_than_one_call_takes(tmp_path: Path) -> None:
    small, large = string("s"), string("L" * 5_000_000)
    with BagWriter(tmp_path / "bag", chunk_bytes=6_000_000) as bag:
        bag.add_topic("/text", STRING)
        for i in range(2 * IOV_MAX):
            bag.write("/text", i, i, small)
        bag.write("/text", 10_000, 10_000, large)
        bag.write("/text", 10_001, 10_001, b"")
    with Reader(tmp_path / "bag") as reader:
        sizes = [len(data) for _, _, data in reader.messages()]
    assert sizes == [len(small)] * (2 * IOV_MAX) + [len(large), 0]


def test_what_was_flushed_is_in_the_file_before_close(tmp_path: Path) -> None:
    bag = BagWriter(tmp_path / "bag")
    bag.add_topic("/text", STRING)
    bag.write("/text", 1, 1, string("kept"))
    assert bag.counts == {"/text": 0}
    bag.flush()
    assert bag.counts == {"/text": 1}
    assert b"kept" in (tmp_path / "bag/bag_0.mcap").read_bytes()
    bag.abort()
    assert not (tmp_path / "bag/metadata.yaml").exists()


def test_an_old_chunk_is_written_with_the_next_message(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag", chunk_age_s=0.0) as bag:
        bag.add_topic("/text", STRING)
        bag.write("/text", 1, 1, string("a"))
        assert bag.counts == {"/text": 1}


def test_mistakes_are_named(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        bag.add_topic("/text", STRING)
        bag.add_topic("/text", STRING)
        with pytest.raises(EmmaError, match="two types on /text"):
            bag.add_topic("/text", STATE)
        with pytest.raises(EmmaError, match="/other was not announced"):
            bag.write("/other", 1, 1, b"")
    with pytest.raises(EmmaError, match="already holds a bag"):
        BagWriter(tmp_path / "bag")


def test_types_without_definition_are_stored_all_the_same(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        bag.add_topic("/odd", "nowhere_msgs/msg/Odd")
        bag.write("/odd", 1, 1, b"\x00\x01\x00\x00\x2a")
    with (tmp_path / "bag/bag_0.mcap").open("rb") as file:
        [(_, channel, message)] = make_reader(file).iter_messages()
    assert (channel.topic, message.data) == ("/odd", b"\x00\x01\x00\x00\x2a")


def test_definitions_come_from_installed_msg_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "share/lab_msgs/msg"
    folder.mkdir(parents=True)
    (folder / "Grip.msg").write_text("std_msgs/Header header\nFinger[] fingers\n")
    (folder / "Finger.msg").write_text("float32 force\n")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    found = definition("lab_msgs/msg/Grip")
    assert found is not None
    assert "MSG: lab_msgs/Finger\nfloat32 force" in found.text
    assert "MSG: std_msgs/Header" in found.text
    assert found.rihs01.startswith("RIHS01_")


def test_partial_writes_are_continued() -> None:
    got = bytearray()

    def takes_seven(_: int, buffers: list) -> int:
        piece = b"".join(bytes(buffer) for buffer in buffers)[:7]
        got.extend(piece)
        return len(piece)

    buffers = [b"abc", b"", b"defghijklmnop", b"q", b"", b"rstuvwxyz"]
    write_all(0, buffers, takes_seven)
    assert bytes(got) == b"".join(buffers)


def test_a_failed_write_leaves_whole_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = McapWriter(tmp_path / "x.mcap")
    channel = writer.add_channel("/text", writer.add_schema(STRING, "ros2msg", "string data"), {})
    writer.write(channel, 1, 1, b"first")
    writer.flush()
    whole = writer.size
    real = os.writev

    def half(fd: int, buffers: list) -> int:
        real(fd, [b"".join(bytes(b) for b in buffers)[:40]])
        raise OSError(28, "No space left on device")

    writer.write(channel, 2, 2, b"second")
    monkeypatch.setattr("emma.bags.append_file.write_all", half)
    with pytest.raises(OSError, match="No space left"):
        writer.flush()
    assert (tmp_path / "x.mcap").stat().st_size == whole == writer.size
    monkeypatch.undo()
    writer.finish()
    writer.close()
    with (tmp_path / "x.mcap").open("rb") as file:
        assert [m.data for _, _, m in make_reader(file).iter_messages()] == [b"first", b"second"]


def test_the_footer_points_at_the_summary(tmp_path: Path) -> None:
    write_mixed(tmp_path / "bag")
    raw = (tmp_path / "bag/bag_0.mcap").read_bytes()
    start, offsets, _ = struct.unpack("<QQI", raw[-28:-8])
    assert raw[start] == 0x03
    assert raw[offsets] == 0x0E


def test_metadata_yaml_says_what_rosbags_own_writer_says(tmp_path: Path) -> None:
    sent = write_mixed(tmp_path / "ours")
    with RosbagsWriter(tmp_path / "theirs", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {
            "/state": writer.add_connection("/state", STATE, typestore=typestore(), offered_qos_profiles=[LATCHED]),
            "/text": writer.add_connection("/text", STRING, typestore=typestore()),
        }
        for topic, time_ns, data in sent:
            writer.write(connections[topic], time_ns, data)

    def read(folder: Path) -> dict:
        text = (folder / "metadata.yaml").read_text().replace("ours_0.mcap", "x").replace("theirs.mcap", "x")
        information: dict = yaml.safe_load(text)["rosbag2_bagfile_information"]
        assert information.pop("ros_distro")
        return information

    assert read(tmp_path / "ours") == read(tmp_path / "theirs")
    assert "&id" not in (tmp_path / "ours/metadata.yaml").read_text()
