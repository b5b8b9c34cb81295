"""Small robots and frames for the episode tests."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from emma.observation import Observation
from emma.robot import Camera, Command, Joint, RobotSpec


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
