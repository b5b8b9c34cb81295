"""The same messages as a bag in every form: the storages, compressions and writers that are met in practice."""

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml
import zstandard
from mcap.writer import CompressionType
from mcap.writer import Writer as McapLibraryWriter
from rosbags.interfaces import Connection
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as RosbagsWriter

from emma.bags.message_definitions import definition, typestore
from emma.bags.metadata import METADATA_NAME
from emma.bags.writer import BagWriter

# Topic, type, time of receipt (ns), serialised message.
Sent = Sequence[tuple[str, str, int, bytes]]
MakeBag = Callable[[Path, Sent], Path]
CHUNK_BYTES = 1000


def emma_bag(folder: Path, sent: Sent, **options: object) -> Path:
    """By our own writer. options: those of BagWriter."""
    with BagWriter(folder, **{"chunk_bytes": CHUNK_BYTES, **options}) as bag:  # type: ignore[arg-type]
        _fill(bag, sent)
    return folder


def unfinished_bag(folder: Path, sent: Sent) -> Path:
    """As a killed recorder leaves it."""
    bag = BagWriter(folder, chunk_bytes=CHUNK_BYTES)
    _fill(bag, sent)
    bag.flush()
    bag.abort()
    return folder


def _fill(bag: BagWriter, sent: Sent) -> None:
    for topic, kind, log_ns, data in sent:
        bag.add_topic(topic, kind)
        bag.write(topic, log_ns, log_ns, data)


def rosbags_bag(
    folder: Path,
    sent: Sent,
    *,
    plugin: StoragePlugin = StoragePlugin.MCAP,
    mode: CompressionMode = CompressionMode.NONE,
    version: int = 9,
) -> Path:
    """By the `rosbags` library."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    writer = RosbagsWriter(folder, version=version, storage_plugin=plugin)  # type: ignore[arg-type]
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connections: dict[str, Connection] = {}
        for topic, kind, log_ns, data in sent:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=typestore())
            writer.write(connections[topic], log_ns, data)
    return folder


def sqlite_bag(folder: Path, sent: Sent) -> Path:
    """rosbag2's older storage."""
    return rosbags_bag(folder, sent, plugin=StoragePlugin.SQLITE3)


def sqlite_with_log(folder: Path, sent: Sent) -> Path:
    """A sqlite3 bag whose recorder was killed: the last half of its rows is in the write-ahead log."""
    source = sqlite_bag(folder.with_name(f"{folder.name}-source"), sent)
    [file] = source.glob("*.db3")
    folder.mkdir()
    live = sqlite3.connect(source / "live.db3")
    plain = sqlite3.connect(file)
    plain.backup(live)
    plain.close()
    live.execute("PRAGMA journal_mode=WAL")
    rows = live.execute("SELECT * FROM messages WHERE id > ? ORDER BY id", (len(sent) // 2,)).fetchall()
    live.execute("DELETE FROM messages WHERE id > ?", (len(sent) // 2,))
    live.commit()
    live.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    live.executemany("INSERT INTO messages VALUES (?, ?, ?, ?)", rows)
    live.commit()
    for suffix in ("", "-wal"):
        shutil.copy(source / f"live.db3{suffix}", folder / f"{folder.name}_0.db3{suffix}")
    live.close()
    shutil.rmtree(source)
    return folder


def library_bag(folder: Path, sent: Sent, **options: object) -> Path:
    """By the `mcap` library, without metadata.yaml. options: those of its Writer."""
    folder.mkdir(parents=True)
    options = {"chunk_size": CHUNK_BYTES, "compression": CompressionType.ZSTD, **options}
    with (folder / f"{folder.name}.mcap").open("wb") as file:
        writer = McapLibraryWriter(file, **options)  # type: ignore[arg-type]
        writer.start("ros2")
        channels: dict[str, int] = {}
        for topic, kind, log_ns, data in sent:
            if topic not in channels:
                described = definition(kind)
                assert described is not None
                schema = writer.register_schema(kind, "ros2msg", described.text.encode())
                channels[topic] = writer.register_channel(topic, "cdr", schema)
            writer.add_message(channels[topic], log_ns, data, log_ns)
        writer.finish()
    return folder


def messages_packed(sent: Sent) -> Sent:
    """Each message compressed by itself (rosbag2's compression mode `message`)."""
    return [(topic, kind, log_ns, zstandard.compress(data)) for topic, kind, log_ns, data in sent]


def split_bag(folder: Path, sent: Sent, parts: int = 3) -> Path:
    """One bag in several files, as `ros2 bag record --max-bag-duration` makes them."""
    folder.mkdir(parents=True)
    counts: dict[str, int] = {}
    names = []
    for number in range(parts):
        piece = sent[number * len(sent) // parts : (number + 1) * len(sent) // parts]
        emma_bag(folder / f"piece{number}", piece)
        name = f"{folder.name}_{number}.mcap"
        (folder / f"piece{number}/piece{number}_0.mcap").rename(folder / name)
        shutil.rmtree(folder / f"piece{number}")
        names.append(name)
        for topic, *_ in piece:
            counts[topic] = counts.get(topic, 0) + 1
    topics = [{"topic_metadata": {"name": topic}, "message_count": count} for topic, count in counts.items()]
    information = {"relative_file_paths": names, "topics_with_message_count": topics, "message_count": len(sent)}
    (folder / METADATA_NAME).write_text(yaml.safe_dump({"rosbag2_bagfile_information": information}))
    return folder


def pack_file(path: Path) -> None:
    """Compress a whole file (rosbag2's compression mode `file`)."""
    # As rosbag2 does: the frame states its size and has no checksum.
    path.with_name(f"{path.name}.zstd").write_bytes(zstandard.compress(path.read_bytes()))
    path.unlink()


def files_packed(folder: Path, sent: Sent) -> Path:
    """A split bag whose files are compressed, but for the last one, as when its recorder was killed."""
    split_bag(folder, sent)
    for path in sorted(folder.glob("*.mcap"))[:-1]:
        pack_file(path)
    text = (folder / METADATA_NAME).read_text().replace(".mcap", ".mcap.zstd")
    (folder / METADATA_NAME).write_text(text)
    return folder
