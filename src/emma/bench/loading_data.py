"""Datasets of three 640 x 480 cameras, as videos of several codecs and as images, for measuring loaders."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from emma.bench.loading_sizes import CAMERAS
from emma.datasets.checksums import CHECKSUMS_PATH
from emma.datasets.writer import DatasetWriter
from emma.observation import Observation
from emma.robots.spec import Camera, Command, Joint, RobotSpec

WIDTH, HEIGHT, FPS = 640, 480, 30
# As LeRobot encodes by default: a key frame every second frame.
CODECS = {"h264": ("libx264", {"g": "2", "crf": "30", "preset": "veryfast"})}


def bench_robot() -> RobotSpec:
    """Six joints and three cameras."""
    return RobotSpec(
        name="bench_arm",
        joints=tuple(
            Joint(name=f"joint_{c}", unit="rad", lower=-3.0, upper=3.0, velocity=2.0, acceleration=9.0)
            for c in "abcdef"
        ),
        cameras=tuple(
            Camera(name=name, image_topic=f"/{name}/image", width=WIDTH, height=HEIGHT, rate_hz=FPS) for name in CAMERAS
        ),
        state_topic="/joint_states",
        command=Command(topic="/command", kind="joint_trajectory"),
        control_rate_hz=100,
        fps=FPS,
    )


def make_dataset(root: Path, form: str, episodes: int, frames: int, seed: int) -> Path:
    """form: av1, h264 or image. Smooth scenes that move, with a little noise, as cameras give them."""
    spec = bench_robot()
    with DatasetWriter(root, spec, depth=False, video=form != "image") as writer:
        for episode in range(episodes):
            writer.add_episode(_frames(spec, frames, [seed, episode]), "stack the cubes", {"source": "bench"})
    if form in CODECS:
        for file in (root / "videos").rglob("*.mp4"):
            recode(file, *CODECS[form])
        (root / CHECKSUMS_PATH).unlink()
    return root


def _frames(spec: RobotSpec, count: int, seed: list[int]) -> Iterator[tuple[Observation, np.ndarray]]:
    random = np.random.default_rng(seed)
    scenes = {
        name: cv2.resize(random.integers(0, 256, (15, 20, 3), np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        for name in CAMERAS
    }
    noise = random.integers(0, 6, (HEIGHT, WIDTH, 3), np.uint8)
    for i in range(count):
        state = np.sin(i / FPS + np.arange(len(spec.joints))).astype(np.float32)
        images = {
            name: cv2.add(np.roll(scene, 2 * i, axis=1), np.roll(noise, 7 * i, axis=0))
            for name, scene in scenes.items()
        }
        yield Observation(stamp_ns=i, state=state, images=images), state


def recode(file: Path, codec: str, options: dict[str, str]) -> None:
    """Write a video anew with another codec."""
    aside = file.with_suffix(".new.mp4")
    with av.open(str(file)) as source, av.open(str(aside), "w") as target:
        seen = source.streams.video[0]
        stream = cast(VideoStream, target.add_stream(codec, seen.average_rate, options=options))
        stream.width, stream.height, stream.pix_fmt = seen.width, seen.height, "yuv420p"
        for frame in source.decode(video=0):
            image = av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24")
            target.mux(stream.encode(image))
        target.mux(stream.encode(None))
    aside.replace(file)
