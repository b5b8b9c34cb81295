"""Recordings and robots in viewers: what is sent, and what Rerun and Foxglove really hold of it."""

import asyncio
import json
import struct
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from console_browser import MemoryRobot, free_port
from dataset_of_numbers import write_dataset
from websockets.asyncio.client import connect

from emma.bags.message_definitions import typestore
from emma.errors import EmmaError
from emma.view.play import follow, open_recording, play
from emma.view.sink import COMMAND, STATE


class Noted:
    """A viewer that remembers."""

    def __init__(self) -> None:
        self.pictures: list[tuple[str, int, str]] = []
        self.rows: dict[str, list[tuple[int, list[float]]]] = {STATE: [], COMMAND: []}
        self.chunks: list[tuple[Sequence[int], np.ndarray]] = []
        self.said: list[str] = []

    def picture(self, camera: str, time_ns: int, data: bytes, media: str) -> None:
        assert data
        self.pictures.append((camera, time_ns, media))

    def joints(self, kind: str, time_ns: int, values: Sequence[float]) -> None:
        self.rows[kind].append((time_ns, list(values)))

    def chunk(self, times_ns: Sequence[int], positions: np.ndarray) -> None:
        self.chunks.append((times_ns, positions))

    def words(self, time_ns: int, text: str) -> None:
        self.said.append(text)

    def close(self) -> None:
        return


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("view") / "one", lengths=(4, 6))


def test_an_episode_is_sent_frame_by_frame(dataset: Path) -> None:
    noted, moments = Noted(), []
    clip = open_recording(dataset, 1)
    assert play(clip, noted, pace=moments.append) == 6
    step = 1 / clip.about()["fps"]
    assert moments == pytest.approx([i * step for i in range(6)])
    assert len(noted.pictures) == 12
    assert [len(noted.rows[kind]) for kind in (STATE, COMMAND)] == [6, 6]
    assert noted.said == ["task 1"]
    first, last = noted.rows[STATE][0], noted.rows[STATE][-1]
    assert (last[0] - first[0]) / 1e9 == pytest.approx(5 * step, abs=1e-6)
    assert last[1][0] - first[1][0] == pytest.approx(0.005, abs=1e-4)


def test_a_robot_is_followed_with_what_it_is_about_to_do() -> None:
    robot, noted, looks = MemoryRobot(), Noted(), iter([False, False, True])
    follow(robot, noted, lambda _seconds: next(looks))
    # Its pictures do not change, so each camera is sent once.
    assert [camera for camera, *_ in noted.pictures] == ["front", "wrist"]
    assert noted.rows[STATE][0][1] == [0.25, -0.5]
    times, positions = noted.chunks[0]
    assert (np.diff(times) == 500_000_000).all()
    assert positions.shape == (3, 2)
    assert noted.said == ["ready"]
    assert robot.watched == {"front": False, "wrist": False}


@pytest.mark.parametrize(("episode", "problem"), [(2, "no such episode"), (-1, "no such episode")])
def test_no_such_episode(dataset: Path, episode: int, problem: str) -> None:
    with pytest.raises(EmmaError, match=problem):
        open_recording(dataset, episode)


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmmaError, match="not a recording"):
        open_recording(tmp_path, 0)
    with pytest.raises(EmmaError, match="no such recording"):
        open_recording(tmp_path / "nothing", 0)


def test_rerun_holds_pictures_joints_and_the_chunk(dataset: Path, tmp_path: Path) -> None:
    chunks = pytest.importorskip("rerun.chunk", reason="Rerun is not installed (extra 'view')")
    from emma.view.rerun_sink import RerunSink

    file, clip = tmp_path / "episode.rrd", open_recording(dataset, 0)
    names = clip.about()["curves"]["names"]
    sink = RerunSink(names, file)
    play(clip, sink)
    sink.chunk([10**9, 2 * 10**9], np.zeros((2, len(names))))
    sink.close()
    rows: Counter[str] = Counter()
    for part in chunks.RrdReader(file).stream():
        rows[part.entity_path] += part.num_rows
    assert rows["/camera/top"] == rows[f"/joints/{names[0]}/state"] == 4
    assert rows[f"/joints/{names[0]}/chunk"] == 2
    assert rows["/words"] == 1


def test_foxglove_serves_standard_topics() -> None:
    pytest.importorskip("foxglove", reason="Foxglove is not installed (extra 'view')")
    from emma.view.foxglove_sink import JOINTS, FoxgloveSink

    sink = FoxgloveSink(["shoulder", "elbow"], free_port())
    send = [
        lambda: sink.joints(STATE, time.time_ns(), [0.5, -0.5]),
        lambda: sink.chunk([0, 10**9], np.zeros((2, 2))),
        lambda: sink.picture("top", 0, b"jpeg", "image/jpeg"),
        lambda: sink.words(0, "ready"),
    ]

    async def watch() -> tuple[dict[str, str], bytes]:
        async with connect(sink.url, subprotocols=["foxglove.sdk.v1"], proxy=None) as socket:
            topics: dict[str, str] = {}
            for one in send:
                one()
            while len(topics) < len(send):
                text = await socket.recv()
                values = json.loads(text) if isinstance(text, str) else {}
                for channel in values.get("channels", ()) if values.get("op") == "advertise" else ():
                    topics[channel["topic"]] = channel["schemaName"]
                    if channel["schemaName"] == JOINTS:
                        subscribe = {"op": "subscribe", "subscriptions": [{"id": 1, "channelId": channel["id"]}]}
                        await socket.send(json.dumps(subscribe))
            while True:
                send[0]()
                try:
                    data = await asyncio.wait_for(socket.recv(), 0.2)
                except TimeoutError:
                    continue
                if isinstance(data, bytes) and data[0] == 1:
                    return topics, data

    try:
        topics, data = asyncio.run(asyncio.wait_for(watch(), 120))
    finally:
        sink.close()
    assert topics["/policy/chunk"] == "trajectory_msgs/msg/JointTrajectory"
    assert topics["/camera/top"] == "sensor_msgs/msg/CompressedImage"
    # Opcode, subscription and log time come before the message.
    assert struct.unpack_from("<BI", data) == (1, 1)
    message = typestore().deserialize_cdr(data[13:], JOINTS)
    assert list(message.position) == [0.5, -0.5]
    assert list(message.name) == ["shoulder", "elbow"]
