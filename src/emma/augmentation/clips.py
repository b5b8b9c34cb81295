"""One clip: decoded, drawn anew, checked, scored and encoded. Runs in a worker, here or on another machine."""

from collections.abc import Buffer, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from emma.augmentation.masks import RobotMasks
from emma.datasets.encode import encode_png, is_depth
from emma.datasets.features import DEPTH, IMAGES, MASK, STATE
from emma.datasets.files import decoded, each_encoded, vectors
from emma.datasets.image_stats import ImageStats
from emma.datasets.source import SourceEpisode
from emma.datasets.spill_arrays import empty, stacked
from emma.datasets.spill_tables import parquet_bytes
from emma.datasets.video import VideoFile
from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.depth import DepthEstimate
from emma.dreamtransfer.filter import Scorer
from emma.dreamtransfer.generator import Generator
from emma.dreamtransfer.geometry import CameraPoses
from emma.dreamtransfer.prompts import Prompt
from emma.errors import EmmaError

# Frames that are encoded at a time.
_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class ClipTask:
    """One variant of an episode. features: those of the augmented dataset."""

    episode: SourceEpisode
    variant: int
    prompt: Prompt
    seed: int
    cameras: tuple[str, ...]
    features: Mapping[str, dict]


@dataclass(frozen=True, kw_only=True)
class MadeClip:
    """A finished clip as files: Parquet, a video per feature that is one; statistics of its pictures; its scores."""

    parquet: Buffer
    videos: Mapping[str, bytes]
    image_stats: Mapping[str, Mapping[str, list]]
    scores: Mapping[str, float]
    length: int


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What a worker makes clips with; each is built in the worker, so only how to build it travels."""

    generator: Callable[[], Generator]
    scorer: Callable[[], Scorer] | None = None
    depth: Callable[[], DepthEstimate] | None = None
    poses: Callable[[], CameraPoses | None] | None = None
    masks: Callable[[], RobotMasks] | None = None


@dataclass(frozen=True, kw_only=True)
class GeneratorCard:
    """What the job must know of a generator before the first clip."""

    name: str
    sha256: str
    views: tuple[str, ...] | None = field(default=None)
    needs_depth: bool = True


class ClipMaker:
    """The tools, built, and what is done with them."""

    def __init__(self, tools: Tools) -> None:
        self.generator = tools.generator()
        self._scorer = tools.scorer() if tools.scorer is not None else None
        self._depth = tools.depth() if tools.depth is not None else None
        self._poses = tools.poses() if tools.poses is not None else None
        self._masks = tools.masks() if tools.masks is not None else None
        # The latest episode, decoded: its variants come one after the other. A maker serves one dataset.
        self._latest: tuple[int, tuple[str, ...], Clip] | None = None

    def card(self) -> GeneratorCard:
        return GeneratorCard(
            name=self.generator.name,
            sha256=self.generator.sha256,
            views=self.generator.views,
            needs_depth=self.generator.needs_depth,
        )

    def make(self, task: ClipTask) -> MadeClip:
        """Raises EmmaError if the generator gives something else than pictures of the clip's views and length."""
        if self._latest is None or self._latest[:2] != (task.episode.index, task.cameras):
            self._latest = None
            self._latest = (task.episode.index, task.cameras, self.clip(task.episode, task.cameras))
        clip = self._latest[2]
        pictures = self.draw(clip, task.prompt.text, task.seed)
        scores = dict(self._scorer(clip, pictures, task.prompt.text)) if self._scorer is not None else {}
        return encode(task, clip, pictures, scores)

    def clip(self, episode: SourceEpisode, cameras: tuple[str, ...]) -> Clip:
        """The episode as the generator sees it; depth that is not stored is estimated, if there is a model for it."""
        names = episode.rows.column_names
        images = {
            camera: episode.frames[camera]
            if camera in episode.frames
            else stacked(map(decoded, each_encoded(episode.rows[IMAGES + camera])), len(episode))
            for camera in cameras
        }
        depth = {
            camera: stacked(map(_depth, each_encoded(episode.rows[DEPTH + camera])), len(episode))
            for camera in cameras
            if DEPTH + camera in names
        }
        geometry = self._poses(vectors(episode.rows[STATE])) if self._poses is not None else {}
        known = {camera: geometry[camera] for camera in cameras if camera in geometry}
        keep = self._masks(episode, cameras) if self._masks is not None else {}
        clip = Clip(images=images, depth=depth, cameras=known, keep=keep, fps=float(episode.fps))
        if self._depth is None or len(depth) == len(cameras):
            return clip
        return replace(clip, depth=self._depth(clip))

    def draw(self, clip: Clip, prompt: str, seed: int) -> dict[str, np.ndarray]:
        """Camera -> (T, H, W, 3) uint8, checked; what the clip keeps is kept, whatever the generator does with it."""
        pictures = self.generator.generate(clip, prompt, seed=seed)
        for camera, images in clip.images.items():
            made = pictures.get(camera)
            if made is not None and made.dtype.kind == "f" and not np.isfinite(made).all():
                frame = int(np.argwhere(~np.isfinite(made))[0][0])
                raise EmmaError(
                    f"the generator {self.generator.name} gave numbers that are not finite",
                    found=f"NaN or infinity in {camera}, first in frame {frame}",
                    expected="pictures",
                    fix="try another precision or other settings of the generator",
                )
            if made is None or made.shape != images.shape or made.dtype != np.uint8:
                raise EmmaError(
                    f"the generator {self.generator.name} gave something else than pictures of {camera}",
                    found="nothing" if made is None else f"{made.dtype} {made.shape}",
                    expected=f"uint8 {images.shape}",
                )
        return {camera: np.ascontiguousarray(_kept(clip, camera, pictures[camera])) for camera in clip.images}


def encode(task: ClipTask, clip: Clip, pictures: Mapping[str, np.ndarray], scores: Mapping[str, float]) -> MadeClip:
    """The rows of the source with other pictures: every other column is the source's, byte for byte."""
    rows, videos, drawn = task.episode.rows, dict[str, bytes](), dict[str, np.ndarray]()
    stats: dict[str, ImageStats] = {}
    for key, feature in task.features.items():
        if is_depth(feature):
            # Of the stored depth: an estimate of it is for the generator alone.
            stats[key] = _stats((_depth(data) for data in each_encoded(rows[key])), 1, np.uint16, 1.0)
        elif key.startswith(MASK):
            channels = 3 if 3 in feature["shape"] else 1
            mode = cv2.IMREAD_COLOR_RGB if channels == 3 else cv2.IMREAD_GRAYSCALE
            stats[key] = _stats((decoded(data, mode) for data in each_encoded(rows[key])), channels, np.uint8, 255.0)
        elif key.startswith(IMAGES):
            images = pictures[key.removeprefix(IMAGES)]
            stats[key] = _stats(images, 3, np.uint8, 255.0)
            if feature["dtype"] == "video":
                videos[key] = _video(images, task.episode.fps)
            else:
                drawn[key] = images
    names = [key for key in (*task.features, "timestamp", "frame_index") if key not in videos]

    def tables() -> Iterator[pa.Table]:
        for first in range(0, len(clip), _AT_ONCE):
            part = slice(first, min(len(clip), first + _AT_ONCE))
            there = rows.slice(first, part.stop - first)
            yield pa.table({name: _pngs(drawn[name][part], first) if name in drawn else there[name] for name in names})

    return MadeClip(
        parquet=parquet_bytes(tables(), task.features),
        videos=videos,
        image_stats={key: {name: v.tolist() for name, v in s.result().items()} for key, s in stats.items()},
        scores={name: float(value) for name, value in scores.items()},
        length=len(clip),
    )


def _kept(clip: Clip, camera: str, made: np.ndarray) -> np.ndarray:
    if camera not in clip.keep:
        return made
    # A generator's own arrays are not written to.
    out = empty(made.shape, made.dtype)
    out[:] = made
    np.copyto(out, clip.images[camera], where=clip.keep[camera][..., None])
    return out


def _pngs(images: np.ndarray, first: int) -> pa.Array:
    cells = [{"bytes": encode_png(image), "path": f"frame-{first + i:06d}.png"} for i, image in enumerate(images)]
    return pa.array(cells, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


def _video(images: np.ndarray, fps: int) -> bytes:
    with TemporaryDirectory() as folder:
        file = VideoFile(Path(folder) / "clip.mp4", images.shape[1], images.shape[2], fps)
        for image in images:
            file.add(image)
        file.close()
        return file.path.read_bytes()


def _stats(images: Any, channels: int, dtype: type[np.unsignedinteger], scale: float) -> ImageStats:
    stats = ImageStats(channels, dtype, scale)
    for image in images:
        stats.add(image)
    return stats


def _depth(data: bytes) -> np.ndarray:
    image = decoded(data, cv2.IMREAD_UNCHANGED)
    if image.dtype != np.uint16 or image.ndim != 2:
        raise EmmaError("stored depth is not 16-bit grey", found=f"{image.dtype} {image.shape}", expected="uint16 mm")
    return image
