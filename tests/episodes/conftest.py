"""Small robots and frames for the episode tests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emma.episodes.definitions import typestore
from emma.episodes.meta import EpisodeMeta
from emma.episodes.recorder import EpisodeRecorder
from emma.observation import Observation
from emma.robot import Camera, Command, Joint, RobotSpec

START_NS = 1_700_000_000_123_456_789


def _spec(cameras: tuple[str, ...] = ("top", "wrist"), fps: int = 10, joints: int = 3) -> RobotSpec:
    return RobotSpec(
        name="tiny_arm",
        joints=tuple(
            Joint(name=f"j{i}", unit="rad", lower=-2.0, upper=2.0, velocity=2.0, acceleration=9.0)
            for i in range(joints)
        ),
        cameras=tuple(
            Camera(
                name=name,
                image_topic=f"/{name}/image",
                info_topic=f"/{name}/info",
                depth_topic=f"/{name}/depth",
                width=32,
                height=24,
                rate_hz=25,
            )
            for name in cameras
        ),
        state_topic="/joint_states",
        command=Command(topic="/command", kind="joint_trajectory"),
        control_rate_hz=50,
        fps=fps,
    )


def _frames(spec: RobotSpec, count: int, seed: int = 0) -> Iterator[tuple[Observation, np.ndarray]]:
    rng = np.random.default_rng(seed)
    for i in range(count):
        observation = Observation(
            stamp_ns=i * 1_000_000_000 // spec.fps,
            state=rng.normal(size=len(spec.joints)).astype(np.float32),
            images={c.name: rng.integers(0, 256, (c.height, c.width, 3), np.uint8) for c in spec.cameras},
            depth={c.name: rng.integers(0, 65536, (c.height, c.width), np.uint16) for c in spec.cameras},
        )
        yield observation, rng.normal(size=len(spec.joints)).astype(np.float32)


class BagScene:
    """The streams of a robot as a recorder would get them: images at 25 Hz, state and command at 50 Hz, all different.

    Every message carries its own number in its pixels or joints, so that a frame tells which ones it was made of.
    """

    def __init__(self, spec: RobotSpec, seconds: float = 2.0, start_ns: int = START_NS, seed: int = 0) -> None:
        self.spec = spec
        self.messages: list[tuple[int, str, int, bytes]] = []  # receive time, topic, stamp, bytes
        rng = np.random.default_rng(seed)
        for k, camera in enumerate(spec.cameras):
            for i in range(int(seconds * 25) + 1):
                stamp = start_ns + i * 40_000_000 + k * 1_000_000
                late = int(rng.integers(1, 15_000_000))
                rgb = rng.integers(0, 256, (camera.height, camera.width, 3), np.uint8)
                depth = rng.integers(0, 65536, (camera.height, camera.width), np.uint16)
                self.messages.append((stamp + late, camera.image_topic, stamp, image_message(stamp, rgb)))
                self.messages.append((stamp + late + 1, str(camera.depth_topic), stamp, image_message(stamp, depth)))
        names = list(spec.joint_names)
        for i in range(int(seconds * 50) + 1):
            stamp = start_ns + i * 20_000_000
            value = np.arange(len(names)) / 8 + i / 64
            self.messages.append((stamp + 500_000, spec.state_topic, stamp, state_message(stamp, names, value)))
            self.messages.append((stamp + 900_000, spec.command.topic, stamp, command_message(stamp, names, -value)))
        self.messages.sort(key=lambda message: message[0])

    def without(self, drop: Callable[[str, int], bool]) -> "BagScene":
        """Leave out the messages of which `drop(topic, seconds since the start)` says so."""
        first = min(stamp for _, _, stamp, _ in self.messages)
        self.messages = [m for m in self.messages if not drop(m[1], (m[2] - first) / 1e9)]
        return self

    def record(self, root: Path, **meta: Any) -> Path:
        """Write the episode through the recorder; returns its folder."""
        recorder = EpisodeRecorder(root)
        state = meta.pop("state", "saved")
        values = {"instruction": "put the cube into the bin", "operator": "test", **meta}
        folder = recorder.start(EpisodeMeta.new(values.pop("robot", self.spec.name), **values), self.spec.topics())
        for log_ns, topic, stamp, data in self.messages:
            assert recorder.offer(topic, data, log_ns, stamp)
        recorder.save() if state == "saved" else recorder.discard()
        return folder


def _serialize(message: Any) -> bytes:
    return bytes(typestore().serialize_cdr(message, message.__msgtype__))


def _header(stamp: int) -> Any:
    types = typestore().types
    time = types["builtin_interfaces/msg/Time"](sec=stamp // 10**9, nanosec=stamp % 10**9)
    return types["std_msgs/msg/Header"](stamp=time, frame_id="")


def image_message(stamp: int, pixels: np.ndarray) -> bytes:
    height, width = pixels.shape[:2]
    message = typestore().types["sensor_msgs/msg/Image"](
        header=_header(stamp),
        height=height,
        width=width,
        encoding="rgb8" if pixels.ndim == 3 else "16UC1",
        is_bigendian=0,
        step=pixels.nbytes // height,
        data=pixels.reshape(-1).view(np.uint8),
    )
    return _serialize(message)


def state_message(stamp: int, names: list[str], position: np.ndarray) -> bytes:
    empty = np.array([])
    message = typestore().types["sensor_msgs/msg/JointState"](
        header=_header(stamp), name=names, position=np.asarray(position, np.float64), velocity=empty, effort=empty
    )
    return _serialize(message)


def command_message(stamp: int, names: list[str], position: np.ndarray) -> bytes:
    types, empty = typestore().types, np.array([])
    point = types["trajectory_msgs/msg/JointTrajectoryPoint"](
        positions=np.asarray(position, np.float64),
        velocities=empty,
        accelerations=empty,
        effort=empty,
        time_from_start=types["builtin_interfaces/msg/Duration"](sec=0, nanosec=0),
    )
    message = types["trajectory_msgs/msg/JointTrajectory"](header=_header(stamp), joint_names=names, points=[point])
    return _serialize(message)


@pytest.fixture
def make_scene() -> type[BagScene]:
    """What a recorder gets from a robot: make_scene(spec, seconds, start_ns, seed).record(root)."""
    return BagScene


@pytest.fixture
def make_spec() -> Callable[..., RobotSpec]:
    """A robot with 32 x 24 cameras: make_spec(cameras, fps, joints)."""
    return _spec


@pytest.fixture
def make_frames() -> Callable[..., Iterator[tuple[Observation, np.ndarray]]]:
    """Random frames of a robot: make_frames(spec, count, seed)."""
    return _frames


@pytest.fixture
def spec() -> RobotSpec:
    return _spec()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """LeRobot's loader copies Parquet into a cache keyed by path and time: keep it out of the user's."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("hf"))
