"""A small dataset, and generators that obey the Protocol without networks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from emma.augmentation.clips import Tools
from emma.datasets.writer import DatasetWriter
from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.prompts import Grammar, Prompt
from emma.observation import Observation
from emma.robots.spec import Camera, Command, Joint, RobotSpec

FRAMES, HEIGHT, WIDTH = 7, 24, 32


@dataclass(frozen=True)
class HueShift:
    """Turns all hues by an angle that prompt and seed decide."""

    views: tuple[str, ...] | None = ("top", "wrist")
    name: str = "hue_shift"
    sha256: str = "0" * 64
    needs_depth: bool = True

    def generate(self, clip: Clip, prompt: str, *, seed: int) -> dict[str, np.ndarray]:
        angle = (sum(prompt.encode()) + seed) % 180
        return {camera: np.stack([turned(image, angle) for image in images]) for camera, images in clip.images.items()}


def turned(image: np.ndarray, angle: int) -> np.ndarray:
    """An RGB picture with its hues turned by 2 x `angle` degrees."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + angle) % 180
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def tiny_spec(depth: bool = True, wrist_width: int = WIDTH) -> RobotSpec:
    """Three joints and three cameras."""
    cameras = [
        Camera(
            name=name,
            image_topic=f"/{name}/image",
            depth_topic=f"/{name}/depth" if depth else None,
            width=wrist_width if name == "wrist" else WIDTH,
            height=HEIGHT,
            rate_hz=25,
        )
        for name in ("top", "wrist", "front")
    ]
    joint = Joint(name="j0", unit="rad", lower=-2.0, upper=2.0, velocity=2.0, acceleration=9.0)
    return RobotSpec(
        name="tiny_arm",
        joints=tuple(replace(joint, name=f"j{i}") for i in range(3)),
        cameras=tuple(cameras),
        state_topic="/joint_states",
        command=Command(topic="/command", kind="joint_trajectory"),
        control_rate_hz=50,
        fps=10,
    )


def frames(spec: RobotSpec, count: int, seed: int) -> Iterator[tuple[Observation, np.ndarray]]:
    """A coloured block that moves over a table, with its depth; numbers with all their bits."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        images, depth = {}, {}
        for camera in spec.cameras:
            image = np.full((camera.height, camera.width, 3), (150, 120, 90), np.uint8)
            image += rng.integers(0, 6, image.shape, np.uint8)
            far = np.full((camera.height, camera.width), 800, np.uint16)
            image[8:14, 2 * i : 2 * i + 6] = (200, 30, 30)
            far[8:14, 2 * i : 2 * i + 6] = 760 + seed
            images[camera.name], depth[camera.name] = image, far
        state = rng.normal(size=3).astype(np.float32)
        depth = depth if spec.cameras[0].depth_topic else {}
        yield Observation(stamp_ns=i * 10**8, state=state, images=images, depth=depth), rng.normal(size=3).astype("f4")


def write(root: Path, spec: RobotSpec, episodes: int = 3, **options: bool) -> Path:
    """A dataset of `episodes` episodes of different lengths."""
    with DatasetWriter(root, spec, **options) as writer:
        for seed in range(episodes):
            entry = {"source": "bag", "episode_id": f"e{seed}", "embodiment": "tiny_arm", "success": True}
            writer.add_episode(frames(spec, FRAMES + seed, seed), f"task {seed % 2}", entry)
    return root


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "source", tiny_spec())


@pytest.fixture
def make_source(tmp_path: Path) -> Callable[..., Path]:
    """Another dataset: make_source(name, depth, wrist_width, episodes, video)."""

    def make(name: str, depth: bool = True, wrist_width: int = WIDTH, episodes: int = 1, video: bool = False) -> Path:
        return write(tmp_path / name, tiny_spec(depth, wrist_width), episodes, depth=depth, video=video)

    return make


@pytest.fixture
def make_long(tmp_path: Path) -> Callable[[str, int], Path]:
    """A dataset of one episode of so many frames of 96 x 128: make_long(name, length)."""

    def make(name: str, length: int) -> Path:
        spec = tiny_spec()
        spec = replace(spec, cameras=tuple(replace(camera, width=128, height=96) for camera in spec.cameras))
        with DatasetWriter(tmp_path / name, spec) as writer:
            writer.add_episode(frames(spec, length, 0), "wave", {"source": "bag"})
        return tmp_path / name

    return make


@pytest.fixture
def prompts() -> Callable[[int, int], list[Prompt]]:
    return Grammar.load("desk").sample


@pytest.fixture
def tools() -> Tools:
    return Tools(generator=HueShift)


@pytest.fixture
def hue_shift() -> type[HueShift]:
    return HueShift


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """LeRobot's loader copies Parquet into a cache keyed by path and time: keep it out of the user's."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("hf"))
