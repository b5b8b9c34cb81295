"""Recorded episodes as a robot's recorder would have written them, made by the expert in the simulator."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emma.bags.episode import EpisodeMeta
from emma.bags.message_definitions import typestore
from emma.cycle.config import (
    ConvertSettings,
    EvaluateSettings,
    ExportSettings,
    ImproveConfig,
    PauseSettings,
    PrioritySettings,
    TrainSettings,
)
from emma.recording.recorder import EpisodeRecorder
from emma.resources import data_dir
from emma.robots.spec import RobotSpec, load_robot
from emma.sim.demonstrations import demonstrations

START_NS = 1_700_000_000_000_000_000


def _serialize(message: Any) -> bytes:
    return bytes(typestore().serialize_cdr(message, message.__msgtype__))


def _header(stamp: int) -> Any:
    types = typestore().types
    time = types["builtin_interfaces/msg/Time"](sec=stamp // 10**9, nanosec=stamp % 10**9)
    return types["std_msgs/msg/Header"](stamp=time, frame_id="")


def _image(stamp: int, pixels: np.ndarray) -> bytes:
    height, width = pixels.shape[:2]
    return _serialize(
        typestore().types["sensor_msgs/msg/Image"](
            header=_header(stamp),
            height=height,
            width=width,
            encoding="rgb8",
            is_bigendian=0,
            step=pixels.nbytes // height,
            data=np.ascontiguousarray(pixels).reshape(-1),
        )
    )


def _joints(stamp: int, names: tuple[str, ...], position: np.ndarray) -> bytes:
    none = np.array([])
    return _serialize(
        typestore().types["sensor_msgs/msg/JointState"](
            header=_header(stamp), name=list(names), position=position.astype(np.float64), velocity=none, effort=none
        )
    )


def _command(stamp: int, spec: RobotSpec, position: np.ndarray) -> bytes:
    types, none = typestore().types, np.array([])
    if spec.command.kind == "joint_state":
        return _joints(stamp, spec.joint_names, position)
    point = types["trajectory_msgs/msg/JointTrajectoryPoint"](
        positions=position.astype(np.float64),
        velocities=none,
        accelerations=none,
        effort=none,
        time_from_start=types["builtin_interfaces/msg/Duration"](sec=0, nanosec=20_000_000),
    )
    return _serialize(
        types["trajectory_msgs/msg/JointTrajectory"](
            header=_header(stamp), joint_names=list(spec.joint_names), points=[point]
        )
    )


def record_bags(
    root: Path, count: int, *, seed: int = 0, cameras: tuple[str, ...] = ("top", "wrist"), **meta: Any
) -> None:
    """`count` of the expert's episodes below `root`, messages at the dataset's rate and without depth."""
    spec = load_robot("desk_arm")
    topics = {camera.name: camera.image_topic for camera in spec.cameras}
    for episode in demonstrations(count, seed=seed, noise=0.0, cameras=cameras, depth=False):
        recorder = EpisodeRecorder(root)
        values = {"id": f"episode_{episode.seed:04d}", "instruction": episode.instruction, "success": True, **meta}
        recorder.start(EpisodeMeta.new(spec.name, **values), spec.topics())
        for i, (seen, action) in enumerate(zip(episode.observations, episode.action, strict=True)):
            stamp = START_NS + i * 10**9 // spec.fps
            messages = [(topics[camera], _image(stamp, pixels)) for camera, pixels in seen.images.items()]
            messages += [(spec.state_topic, _joints(stamp, spec.joint_names, seen.state))]
            messages += [(spec.command.topic, _command(stamp, spec, action))]
            for topic, data in messages:
                assert recorder.offer(topic, data, stamp + 1_000_000, stamp)
        recorder.save()


def tiny(root: Path, **changes: Any) -> ImproveConfig:
    """A cycle that really runs, in the fewest steps."""
    config = ImproveConfig(
        bags=(str(root / "bags"),),
        policy=str(data_dir("models") / "desk_arm_source"),
        out=str(root / "improve"),
        convert=ConvertSettings(cameras=("top", "wrist"), depth=False),
        train=TrainSettings(steps=4, batch_size=8, sampler="uniform", checkpoint_every=2),
        export=ExportSettings(observations=2),
        evaluate=EvaluateSettings(episodes=1, appearances=("source",), timeout_s=3.0),
        priority=PrioritySettings(nice=1, idle_io=False),
        pause=PauseSettings(enabled=False),
    )
    return replace(config, **changes)


@pytest.fixture
def tiny_config() -> Callable[..., ImproveConfig]:
    return tiny


@pytest.fixture(scope="session")
def bags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recorded episodes."""
    root = tmp_path_factory.mktemp("recorded")
    record_bags(root / "bags", 2)
    return root / "bags"
