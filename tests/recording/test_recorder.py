"""The recorder on a real disk: what is offered is in the bag or counted, and every failure is told with numbers."""

import logging
import os
import time
from pathlib import Path
from threading import Event, Thread

import pytest
from rosbags.rosbag2 import Reader

from emma.bags.append_file import write_all
from emma.bags.episode import EpisodeMeta, Mark
from emma.bags.mcap_writer import McapWriter
from emma.errors import EmmaError
from emma.recording.byte_queue import ByteQueue, Incoming
from emma.recording.recorder import EpisodeRecorder
from emma.recording.stats import RecorderConfig

STRING = "std_msgs/msg/String"
TOPICS = {"/a": STRING, "/b": STRING}


def bag_counts(folder: Path) -> dict[str, int]:
    with Reader(folder) as reader:
        return {c.topic: c.msgcount for c in reader.connections}


def payloads(folder: Path, topic: str) -> list[bytes]:
    with Reader(folder) as reader:
        return [bytes(data) for c, _, data in reader.messages() if c.topic == topic]


def test_an_episode_from_start_to_save(tmp_path: Path) -> None:
    recorder = EpisodeRecorder(tmp_path)
    assert not recorder.offer("/a", b"before", 1, 1)
    folder = recorder.start(EpisodeMeta.new("arm", instruction="pick", operator="me"), TOPICS)
    assert EpisodeMeta.load(folder).state == "recording"
    for i in range(1000):
        assert recorder.offer("/a" if i % 4 else "/b", b"%d" % i, 10**18 + i, 10**18 + i - 1)
    recorder.mark("intervention", time_ns=7)
    recorder.mark_success(True)
    recorder.set_instruction("pick the cube")
    meta = recorder.save()
    assert meta == EpisodeMeta.load(folder)
    assert (meta.state, meta.success, meta.instruction) == ("saved", True, "pick the cube")
    assert meta.marks == (Mark(time_ns=7, label="intervention"),)
    assert {t: (m.count, m.dropped) for t, m in meta.topics.items()} == {"/a": (750, 0), "/b": (250, 0)}
    assert meta.duration_s == pytest.approx(999e-9)
    assert bag_counts(folder) == {"/a": 750, "/b": 250}
    assert payloads(folder, "/b") == [b"%d" % i for i in range(0, 1000, 4)]
    assert not recorder.recording


def test_discard_says_so_and_the_next_episode_starts(tmp_path: Path) -> None:
    recorder = EpisodeRecorder(tmp_path)
    first = recorder.start(EpisodeMeta.new("arm"), TOPICS)
    assert recorder.discard().state == "discarded"
    second = recorder.start(EpisodeMeta.new("arm"), TOPICS)
    assert recorder.save(success=False).success is False
    assert first != second
    assert bag_counts(first) == {"/a": 0, "/b": 0}


def test_topics_that_appear_later(tmp_path: Path) -> None:
    recorder = EpisodeRecorder(tmp_path)
    folder = recorder.start(EpisodeMeta.new("arm"), {"/a": STRING})
    with pytest.raises(EmmaError, match="/late was not announced"):
        recorder.offer("/late", b"", 1, 1)
    recorder.add_topic("/late", STRING)
    with pytest.raises(EmmaError, match="two types on /late"):
        recorder.add_topic("/late", "std_msgs/msg/Header")
    assert recorder.offer("/late", b"x", 1, 1)
    recorder.save()
    assert bag_counts(folder) == {"/a": 0, "/late": 1}


def test_out_of_turn_calls_are_named(tmp_path: Path) -> None:
    recorder = EpisodeRecorder(tmp_path)
    for call in (recorder.save, recorder.discard, lambda: recorder.mark("x"), lambda: recorder.mark_success(True)):
        with pytest.raises(EmmaError, match="no episode is being recorded"):
            call()
    meta = EpisodeMeta.new("arm")
    recorder.start(meta, TOPICS)
    with pytest.raises(EmmaError, match="an episode is being recorded"):
        recorder.start(EpisodeMeta.new("arm"), TOPICS)
    recorder.save()
    with pytest.raises(EmmaError, match="exists"):
        recorder.start(meta, TOPICS)


def test_a_stalled_disk_drops_loudly_and_the_counts_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stalled, go_on = Event(), Event()
    flush = McapWriter.flush

    def slow(writer: McapWriter) -> None:
        stalled.set()
        go_on.wait(20)
        flush(writer)

    monkeypatch.setattr(McapWriter, "flush", slow)
    warnings: list[str] = []
    config = RecorderConfig(queue_bytes=100_000, chunk_bytes=10_000, chunk_age_s=0.01, sync_s=0.02)
    recorder = EpisodeRecorder(tmp_path, config, on_warning=warnings.append)
    folder = recorder.start(EpisodeMeta.new("arm"), TOPICS)
    began = time.monotonic()
    taken = [recorder.offer("/a", bytes([i % 256]) * 1000, i + 1, i + 1) for i in range(400)]
    assert stalled.wait(5)
    assert time.monotonic() - began < 5
    assert recorder.stats().queue_bytes <= config.queue_bytes
    deadline = time.monotonic() + 5
    while not warnings and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "messages lost" in warnings[0]
    assert EpisodeMeta.load(folder).state == "recording"
    go_on.set()
    meta = recorder.save()
    lost = taken.count(False)
    assert 250 < lost < 400
    assert (meta.topics["/a"].count, meta.topics["/a"].dropped) == (400 - lost, lost)
    assert payloads(folder, "/a") == [bytes([i % 256]) * 1000 for i, ok in enumerate(taken) if ok]
    assert any(f"{lost} of 400 messages lost" in problem for problem in meta.problems)


def test_losses_are_in_the_file_before_the_episode_ends(tmp_path: Path) -> None:
    config = RecorderConfig(queue_bytes=10, sync_s=0.02)
    recorder = EpisodeRecorder(tmp_path, config, on_warning=lambda _: None)
    folder = recorder.start(EpisodeMeta.new("arm"), TOPICS)
    assert not recorder.offer("/a", b"more than ten bytes", 1, 1)
    deadline = time.monotonic() + 5
    while EpisodeMeta.load(folder).dropped == 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert EpisodeMeta.load(folder).topics["/a"].dropped == 1
    recorder.save()


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "through the cache"])
def test_a_write_error_keeps_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, direct: bool) -> None:
    writev, pwrite = os.writev, os.pwrite
    room = [60_000]

    def left() -> int:
        if room[0] <= 0:
            raise OSError(28, "No space left on device")
        return room[0]

    def small_disk(fd: int, buffers: list) -> int:
        piece = b"".join(bytes(buffer) for buffer in buffers)[: left()]
        room[0] -= len(piece)
        return writev(fd, [piece])

    def small_disk_at(fd: int, data: memoryview, at: int) -> int:
        # Blocks that are written again take no room.
        grown = max(0, at + len(data) - os.fstat(fd).st_size)
        if grown > room[0]:
            left()
            room[0] = 0
            raise OSError(28, "No space left on device")
        room[0] -= grown
        return pwrite(fd, data, at)

    monkeypatch.setattr(write_all, "__defaults__", (small_disk,))
    monkeypatch.setattr("emma.bags.append_file.os.pwrite", small_disk_at)
    warnings: list[str] = []
    config = RecorderConfig(chunk_bytes=5_000, sync_s=0.02, direct=direct)
    recorder = EpisodeRecorder(tmp_path, config, on_warning=warnings.append)
    folder = recorder.start(EpisodeMeta.new("arm"), TOPICS)
    for i in range(200):
        recorder.offer("/a", bytes([i]) * 1000, i + 1, i + 1)
    deadline = time.monotonic() + 5
    while recorder.stats().state != "failing" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "No space left on device" in str(recorder.stats())
    assert not recorder.offer("/a", b"late", 1000, 1000)
    room[0] = 10_000  # cutting the torn chunk off gave its room back
    meta = recorder.save()
    count = meta.topics["/a"].count
    assert 50 <= count < 65
    assert meta.topics["/a"].dropped == 201 - count
    assert payloads(folder, "/a") == [bytes([i]) * 1000 for i in range(count)]
    assert meta.state == "saved"
    assert any("No space left on device after 0." in problem for problem in meta.problems)


def test_recording_stops_before_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [10**9]
    monkeypatch.setattr("emma.recording.recording.free_bytes", lambda _: free[0])
    monkeypatch.setattr("emma.recording.recorder.free_bytes", lambda _: free[0])
    warnings: list[str] = []
    recorder = EpisodeRecorder(tmp_path, RecorderConfig(sync_s=0.02), on_warning=warnings.append)
    folder = recorder.start(EpisodeMeta.new("arm"), TOPICS)
    recorder.offer("/a", b"kept", 1, 1)
    free[0] = 10**6
    deadline = time.monotonic() + 5
    while recorder.stats().state != "failing" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "less than 268 MB free" in warnings[0]
    assert not recorder.offer("/a", b"lost", 2, 2)
    recorder.save()
    assert payloads(folder, "/a") == [b"kept"]
    with pytest.raises(EmmaError, match="is full"):
        recorder.start(EpisodeMeta.new("arm"), TOPICS)


def test_a_clock_set_back_is_noted_and_nothing_is_lost(tmp_path: Path) -> None:
    recorder = EpisodeRecorder(tmp_path, on_warning=lambda _: None)
    folder = recorder.start(EpisodeMeta.new("arm"), TOPICS)
    times = [10**18, 10**18 + 1, 10**18 - 5 * 10**9, 10**18 - 5 * 10**9 + 1]
    for i, time_ns in enumerate(times):
        recorder.offer("/a", b"%d" % i, time_ns, time_ns)
    meta = recorder.save()
    assert meta.problems == ("the clock was set back by 5.000 s",)
    assert payloads(folder, "/a") == [b"2", b"3", b"0", b"1"]


def test_a_topic_that_waited_longer_than_another_is_no_clock_set_back(tmp_path: Path) -> None:
    recorder = EpisodeRecorder(tmp_path, on_warning=lambda _: None)
    recorder.start(EpisodeMeta.new("arm"), TOPICS)
    for topic, time_ns in (("/a", 10**18), ("/b", 10**18 - 3 * 10**9), ("/a", 10**18 + 1), ("/b", 10**18 - 2 * 10**9)):
        recorder.offer(topic, b"", time_ns, time_ns)
    assert recorder.save().problems == ()


def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmmaError, match="cannot record to"):
        EpisodeRecorder(tmp_path / "file" / "bags")


def test_closing_keeps_the_episode(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recorder = EpisodeRecorder(tmp_path)
    assert recorder.close() is None
    recorder.start(EpisodeMeta.new("arm"), TOPICS)
    recorder.offer("/a", b"x", 1, 1)
    with caplog.at_level(logging.WARNING):
        meta = recorder.close()
    assert meta is not None
    assert meta.state == "saved"
    assert "closed while recording" in caplog.text


def test_many_threads_offer_at_once(tmp_path: Path) -> None:
    recorder = EpisodeRecorder(tmp_path, RecorderConfig(chunk_bytes=2000))
    folder = recorder.start(EpisodeMeta.new("arm"), {f"/t{k}": STRING for k in range(4)})

    def feed(k: int) -> None:
        for i in range(500):
            assert recorder.offer(f"/t{k}", b"%d" % i, i, i)

    threads = [Thread(target=feed, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.save()
    for k in range(4):
        assert sorted(int(data) for data in payloads(folder, f"/t{k}")) == list(range(500))


def test_status_lines(tmp_path: Path) -> None:
    recorder = EpisodeRecorder(tmp_path)
    assert str(recorder.stats()).startswith("idle")
    recorder.start(EpisodeMeta.new("arm"), TOPICS)
    recorder.offer("/a", b"x", 1, 1)
    assert "1 messages" in str(recorder.stats())
    recorder.save()


def test_the_queue_counts_what_the_reader_still_holds() -> None:
    queue = ByteQueue(max_bytes=10, max_items=3)
    assert queue.put(Incoming("/a", 1, 1, b"12345678"))
    taken = queue.take(0)
    assert taken is not None
    assert not queue.put(Incoming("/a", 2, 2, b"abc"))
    queue.done(1, 8)
    assert queue.put(Incoming("/a", 2, 2, b"abc"))
    assert queue.put(Incoming("/a", 3, 3, b""))
    assert queue.put(Incoming("/a", 4, 4, b""))
    assert not queue.put(Incoming("/a", 5, 5, b""))
    queue.close()
    assert not queue.put(Incoming("/a", 6, 6, b""))
    rest = queue.take(0)
    assert rest is not None
    assert [item.log_time_ns for item in rest] == [2, 3, 4]
    assert queue.take(0) is None


@pytest.mark.parametrize("bad", [{"queue_bytes": 0}, {"sync_s": -1.0}])
def test_bad_settings_are_refused(bad: dict) -> None:
    with pytest.raises(EmmaError, match="bad value"):
        RecorderConfig(**bad)
