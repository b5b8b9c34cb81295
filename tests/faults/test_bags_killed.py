"""kill -9 of a recorder at random moments under load, and torn files of every length."""

import os
import random
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mcap.reader import make_reader
from rosbags.rosbag2 import Reader

from emma.bags.append_file import write_all
from emma.bags.episode import EpisodeMeta
from emma.bags.repair import episode_lock, repair, repair_all
from emma.bags.writer import BagWriter
from emma.errors import EmmaError
from emma.files import sha256_tree
from emma.recording.recorder import EpisodeRecorder

STRING = "std_msgs/msg/String"
PAYLOAD = struct.Struct("<Qd")  # sequence, moment it was offered (monotonic, the same clock in every process)

# One episode that is saved, then one that never ends: three streams of `size` bytes and a small fast one.
RECORDER = """
import struct, sys, time
from emma.bags.episode import EpisodeMeta
from emma.recording.recorder import EpisodeRecorder
root, size, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
recorder = EpisodeRecorder(root, on_warning=lambda text: None)
topics = {f"/camera{k}": "std_msgs/msg/String" for k in range(3)} | {"/joints": "std_msgs/msg/String"}
rest = bytes(size)
for episode in ("whole", "torn"):
    recorder.start(EpisodeMeta(id=episode, robot="arm"), topics)
    if episode == "torn":
        print("recording", flush=True)
    sequence = 0
    began = time.monotonic()
    while episode == "torn" or sequence < 20:
        for topic in topics:
            data = struct.pack("<Qd", sequence, time.monotonic()) + (b"" if topic == "/joints" else rest)
            now = time.time_ns()
            assert recorder.offer(topic, data, now, now)
        sequence += 1
        time.sleep(max(0.0, began + sequence / rate - time.monotonic()))
    if episode == "whole":
        recorder.save(success=True)
"""


def kill_while_recording(root: Path, after_s: float, size: int, rate: float) -> float:
    """Start a recorder, kill it `after_s` into its second episode; returns the moment of death."""
    child = subprocess.Popen(
        [sys.executable, "-c", RECORDER, str(root), str(size), str(rate)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == "recording\n"
        time.sleep(after_s)
    finally:
        moment = time.monotonic()
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
    return moment


def check_after_kill(root: Path, died: float, at_most_lost_s: float) -> int:
    """Mend everything below `root`; the torn episode is a gapless beginning that reaches up to the last second."""
    whole = sha256_tree(root / "whole")
    assert not (root / "torn/metadata.yaml").exists()
    [torn, untouched] = repair_all(root)
    assert (torn.path.name, torn.action) == ("torn", "recovered")
    assert (untouched.path.name, untouched.action) == ("whole", "untouched")
    assert sha256_tree(root / "whole") == whole
    meta = EpisodeMeta.load(root / "torn")
    assert meta.state == "recovered"
    offered = []
    sequences: dict[str, list[int]] = {topic: [] for topic in meta.topics}
    with Reader(root / "torn") as reader:
        for connection, _, data in reader.messages():
            sequence, moment = PAYLOAD.unpack_from(data)
            sequences[connection.topic].append(sequence)
            offered.append(moment)
        assert reader.message_count == len(offered) == torn.messages
    for topic, numbers in sequences.items():
        assert numbers == list(range(len(numbers)))
        assert meta.topics[topic].count == len(numbers)
    lengths = {len(numbers) for numbers in sequences.values()}
    assert max(lengths) - min(lengths) <= 1
    assert died - max(offered, default=died) <= at_most_lost_s
    with (root / "torn/torn_0.mcap").open("rb") as file:
        assert sum(1 for _ in make_reader(file, validate_crcs=True).iter_messages()) == len(offered)
    assert repair(root / "torn").action == "untouched"
    return len(offered)


@pytest.mark.parametrize("after_s", [0.05, 0.31, 0.7])
def test_killed_under_load(tmp_path: Path, after_s: float) -> None:
    died = kill_while_recording(tmp_path, after_s, size=200_000, rate=30)
    # The bound is for the recorder; a machine with other work may keep the feeder itself from running.
    check_after_kill(tmp_path, died, at_most_lost_s=5)


@pytest.mark.slow
def test_killed_fifty_times_at_full_load(tmp_path: Path) -> None:
    chance = random.Random(0)
    for i in range(50):
        root = tmp_path / str(i)
        died = kill_while_recording(root, chance.uniform(0.0, 1.5), size=1_536_000, rate=30)
        check_after_kill(root, died, at_most_lost_s=1)


def unfinished_bag(folder: Path, **options: object) -> tuple[bytes, list[bytes]]:
    """A bag as a killed recorder leaves it: its file and the payloads it was given."""
    sent = [b"message %02d:" % i + bytes([i]) * (50 * (i % 4)) for i in range(24)]
    EpisodeMeta(id="e", robot="arm").save(folder)
    bag = BagWriter(folder, chunk_bytes=600, **options)  # type: ignore[arg-type]
    bag.add_topic("/a", STRING)
    bag.add_topic("/b", STRING)
    for i, data in enumerate(sent):
        bag.write("/ab"[0] + "ab"[i % 2], 1000 + i, 1000 + i, data, sequence=i)
    bag.flush()
    bag.abort()
    return (folder / f"{folder.name}_0.mcap").read_bytes(), sent


@pytest.mark.parametrize("compress", [False, True])
def test_a_file_torn_anywhere_gives_back_its_whole_messages(
    tmp_path: Path, compress: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing here outlives the machine; waiting for the disk a thousand times would only be slow.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(os, "fdatasync", lambda _: None)
    whole, sent = unfinished_bag(tmp_path / "bag", compress=compress)
    best = 0
    for length in [*range(0, len(whole), 37), len(whole)]:
        folder = tmp_path / f"cut{length}"
        folder.mkdir()
        EpisodeMeta(id="e", robot="arm").save(folder)
        (folder / "cut_0.mcap").write_bytes(whole[:length])
        report = repair(folder)
        with Reader(folder) as reader:
            got = [bytes(data) for _, _, data in reader.messages()]
        assert got == sent[: len(got)], length
        assert len(got) == report.messages >= best, length
        best = len(got)
        if not compress:
            # Nothing whole is given up: every message that lies before the cut is there.
            assert len(got) == sum(whole.index(data) + len(data) <= length for data in sent)
    assert best == len(sent)


def test_zeros_after_a_power_cut_are_cut_off(tmp_path: Path) -> None:
    whole, sent = unfinished_bag(tmp_path / "bag")
    folder = tmp_path / "zeros"
    folder.mkdir()
    keep = len(whole) // 2
    (folder / "zeros_0.mcap").write_bytes(whole[:keep] + bytes(len(whole) - keep))
    report = repair(folder, settle_s=0)
    with Reader(folder) as reader:
        got = [bytes(data) for _, _, data in reader.messages()]
    assert 0 < len(got) < len(sent)
    assert got == sent[: len(got)]
    assert report.messages == len(got)


def test_repair_interrupted_at_every_write_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, sent = unfinished_bag(tmp_path / "bag")
    torn = whole[: len(whole) - 150]
    reference = 0
    for steps in range(8):
        folder = tmp_path / f"again{steps}"
        folder.mkdir()
        EpisodeMeta(id="e", robot="arm").save(folder)
        (folder / "x_0.mcap").write_bytes(torn)
        calls = [0]

        def stops(fd: int, buffers: list, calls: list = calls, steps: int = steps) -> int:
            calls[0] += 1
            if calls[0] > steps:
                raise KeyboardInterrupt
            return os.writev(fd, [b"".join(bytes(b) for b in buffers)[:100]])

        with monkeypatch.context() as patch:
            patch.setattr(write_all, "__defaults__", (stops,))
            with pytest.raises(KeyboardInterrupt):
                repair(folder)
        report = repair(folder)
        with Reader(folder) as reader:
            got = [bytes(data) for _, _, data in reader.messages()]
        assert got == sent[: len(got)]
        reference = reference or report.messages
        assert report.messages == reference > 10


def test_an_episode_being_recorded_is_left_alone(tmp_path: Path) -> None:
    recorder = EpisodeRecorder(tmp_path)
    folder = recorder.start(EpisodeMeta.new("arm"), {"/a": STRING})
    assert repair(folder).action == "busy"
    second = EpisodeRecorder(tmp_path)
    assert second.recovered == []
    recorder.offer("/a", b"x", 1, 1)
    assert recorder.save().topics["/a"].count == 1
    assert repair(folder).action == "untouched"


def test_two_recorders_share_a_directory(tmp_path: Path) -> None:
    first, second = EpisodeRecorder(tmp_path), EpisodeRecorder(tmp_path)
    folders = [r.start(EpisodeMeta.new("arm"), {"/a": STRING}) for r in (first, second)]
    for i, recorder in enumerate((first, second)):
        recorder.offer("/a", b"%d" % i, 1, 1)
        recorder.save()
    for i, folder in enumerate(folders):
        with Reader(folder) as reader:
            assert [bytes(data) for _, _, data in reader.messages()] == [b"%d" % i]


def test_an_episode_without_any_message_file_is_marked(tmp_path: Path) -> None:
    folder = tmp_path / "e"
    folder.mkdir()
    EpisodeMeta(id="e", robot="arm").save(folder)
    assert repair(folder).action == "recovered"
    assert EpisodeMeta.load(folder).state == "recovered"


def test_a_missing_metadata_yaml_is_written_again(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        bag.add_topic("/a", STRING)
        bag.write("/a", 5, 5, b"x")
    before = (tmp_path / "bag/metadata.yaml").read_text()
    (tmp_path / "bag/metadata.yaml").unlink()
    assert repair(tmp_path / "bag").action == "recovered"
    assert (tmp_path / "bag/metadata.yaml").read_text() == before


def test_one_hopeless_bag_does_not_stop_the_others(tmp_path: Path) -> None:
    unfinished_bag(tmp_path / "b")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/a_0.mcap").write_text("this is a text, not a bag")
    reports = repair_all(tmp_path)
    assert [(r.path.name, r.action) for r in reports] == [("a", "failed"), ("b", "recovered")]
    assert "not an MCAP file" in str(reports[0])


def test_a_folder_that_is_no_bag_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmmaError, match="is not a bag"):
        repair(tmp_path)
    with pytest.raises(EmmaError, match="no folder"):
        repair_all(tmp_path / "nowhere")


def test_a_lock_is_free_again_after_use(tmp_path: Path) -> None:
    with episode_lock(tmp_path) as held:
        assert held
        with episode_lock(tmp_path) as again:
            assert not again
    with episode_lock(tmp_path) as held:
        assert held
