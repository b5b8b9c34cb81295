"""What the watch sees: streams that are slow, jump, freeze or lie apart, and nothing in good ones."""

from dataclasses import replace

import numpy as np
import pytest

from emma.recording.stream_monitor import FROZEN_IMAGES, Watch
from emma.robots.spec import RobotSpec

SECOND = 1_000_000_000


class Player:
    """Feeds the streams of a robot to a watch, as from a clock of its own."""

    def __init__(self, watch: Watch, spec: RobotSpec, make_scene: type, seconds: float = 2.0) -> None:
        self.watch = watch
        self.messages = make_scene(spec, seconds).messages
        self.first = min(stamp for _, _, stamp, _ in self.messages)

    def play(self, change=lambda topic, s, data: data) -> None:
        """Feed everything; `change(topic, seconds, data)` returns other bytes, or None for a message that is lost."""
        began = self.watch._at
        for log_ns, topic, stamp, data in self.messages:
            data = change(topic, (stamp - self.first) / 1e9, data)
            if data is not None:
                self.watch.add(topic, data, began + (log_ns - self.first) / 1e9)
        self.report = self.watch.report(began + 2.0)


@pytest.fixture
def player(spec: RobotSpec, make_scene: type) -> Player:
    return Player(Watch(spec), spec, make_scene)


def shifted(data: bytes, by_ns: int) -> bytes:
    """The message with another stamp."""
    stamp = int.from_bytes(data[4:8], "little") * SECOND + int.from_bytes(data[8:12], "little") + by_ns
    return data[:4] + (stamp // SECOND).to_bytes(4, "little") + (stamp % SECOND).to_bytes(4, "little") + data[12:]


# The tiny robot has an info topic for every camera that nobody in these tests publishes.
def problems(player: Player) -> list[str]:
    return [problem for problem in player.report.problems if "/info" not in problem]


def test_good_streams_are_no_problem(player: Player) -> None:
    player.play()
    assert problems(player) == []
    assert player.report.rates_hz["/top/image"] == pytest.approx(25, abs=1)
    assert 0.001 <= player.report.skew_s < 0.025


def test_a_slow_topic(player: Player) -> None:
    keep = iter(range(10_000))
    player.play(lambda topic, s, data: None if topic == "/top/depth" and next(keep) % 2 else data)
    assert problems(player) == ["/top/depth at 13.0 of 25 Hz"]


def test_a_topic_that_never_came(player: Player) -> None:
    player.play(lambda topic, s, data: None if topic == "/wrist/image" else data)
    assert problems(player) == ["/wrist/image at 0.0 of 25 Hz"]
    assert player.report.skew_s is None


def test_simulated_time_has_no_rates(spec: RobotSpec, make_scene: type) -> None:
    player = Player(Watch(spec, check_rates=False), spec, make_scene)
    player.play(lambda topic, s, data: None if topic == "/wrist/image" else data)
    assert player.report.problems == ()


def test_skipped_topics_are_not_missed(spec: RobotSpec, make_scene: type) -> None:
    player = Player(Watch(spec, skip=("/wrist/image",)), spec, make_scene)
    player.play(lambda topic, s, data: None if topic == "/wrist/image" else data)
    assert problems(player) == []


def test_a_clock_that_is_set_back(player: Player) -> None:
    player.play(lambda topic, s, data: shifted(data, -5 * SECOND) if topic == "/joint_states" and s > 1 else data)
    assert problems(player) == ["/joint_states: stamps went back by 4.980 s"]
    assert player.report.jumps == {"/joint_states": "stamps went back by 4.980 s"}
    assert player.watch.report().jumps == {}


def test_a_gap_in_the_stamps(player: Player) -> None:
    player.play(lambda topic, s, data: None if topic == "/top/image" and 0.5 < s < 0.82 else data)
    assert problems(player) == ["/top/image: no stamp for 0.360 s"]


def test_a_frozen_camera(player: Player) -> None:
    frozen: list[bytes] = []

    def freeze(topic: str, s: float, data: bytes) -> bytes:
        if topic != "/top/image" or s < 0.5:
            return data
        frozen.append(data)
        return data[:12] + frozen[0][12:]

    player.play(freeze)
    [problem] = problems(player)
    assert problem.startswith("/top/image shows the same image for 1.")
    assert len(frozen) > FROZEN_IMAGES


def test_rendered_images_may_repeat(spec: RobotSpec, make_scene: type) -> None:
    player = Player(Watch(replace(spec, simulator="desk_arm")), spec, make_scene)
    player.play(lambda topic, s, data: data[:60] + bytes(len(data) - 60) if "image" in topic else data)
    assert problems(player) == []


def test_cameras_apart(player: Player) -> None:
    player.play(lambda topic, s, data: shifted(data, -80_000_000) if topic == "/wrist/image" else data)
    assert len(problems(player)) == 1
    assert 0.079 <= player.report.skew_s < 0.105


def test_both_byte_orders_are_read(spec: RobotSpec) -> None:
    watch = Watch(spec, check_rates=False)
    for seconds in (100, 90):
        data = b"\0\0\0\0" + np.array([seconds, 0], ">u4").tobytes()
        watch.add("/joint_states", data, 0.0)
    assert watch.report(1.0).jumps == {"/joint_states": "stamps went back by 10.000 s"}
