"""One clip: decoded, drawn anew, checked, scored and encoded. Runs in a worker, here or on another machine."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emma.augmentation.source import SourceEpisode
from emma.dataset_files import decoded, encoded_images, vectors
from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.depth import DepthEstimate
from emma.dreamtransfer.filter import Scorer
from emma.dreamtransfer.generator import Generator
from emma.dreamtransfer.geometry import CameraPoses
from emma.dreamtransfer.prompts import Prompt
from emma.episodes.encode import ROW_GROUP_BYTES, encode_png, is_depth, parquet_options
from emma.episodes.features import DEPTH, IMAGES, STATE
from emma.episodes.stats import ImageStats
from emma.episodes.video import VideoFile
from emma.errors import EmmaError


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

    parquet: bytes
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


@dataclass(frozen=True, kw_only=True)
class GeneratorCard:
    """What the job must know of a generator before the first clip."""

    name: str
    sha256: str
    views: tuple[str, ...] | None = field(default=None)


class ClipMaker:
    """The tools, built, and what is done with them."""

    def __init__(self, tools: Tools) -> None:
        self.generator = tools.generator()
        self._scorer = tools.scorer() if tools.scorer is not None else None
        self._depth = tools.depth() if tools.depth is not None else None
        self._poses = tools.poses() if tools.poses is not None else None

    def card(self) -> GeneratorCard:
        return GeneratorCard(name=self.generator.name, sha256=self.generator.sha256, views=self.generator.views)

    def make(self, task: ClipTask) -> MadeClip:
        """Raises EmmaError if the generator gives something else than pictures of the clip's views and length."""
        clip = self.clip(task.episode, task.cameras)
        pictures = self.draw(clip, task.prompt.text, task.seed)
        scores = dict(self._scorer(clip, pictures, task.prompt.text)) if self._scorer is not None else {}
        return encode(task, clip, pictures, scores)

    def clip(self, episode: SourceEpisode, cameras: tuple[str, ...]) -> Clip:
        """The episode as the generator sees it; depth that is not stored is estimated, if there is a model for it."""
        names = episode.rows.column_names
        images = {
            camera: episode.frames[camera]
            if camera in episode.frames
            else np.stack([decoded(data) for data in encoded_images(episode.rows[IMAGES + camera])])
            for camera in cameras
        }
        depth = {
            camera: np.stack([_depth(data) for data in encoded_images(episode.rows[DEPTH + camera])])
            for camera in cameras
            if DEPTH + camera in names
        }
        geometry = self._poses(vectors(episode.rows[STATE])) if self._poses is not None else {}
        known = {camera: geometry[camera] for camera in cameras if camera in geometry}
        clip = Clip(images=images, depth=depth, cameras=known, fps=float(episode.fps))
        if self._depth is None or len(depth) == len(cameras):
            return clip
        return replace(clip, depth=self._depth(clip))

    def draw(self, clip: Clip, prompt: str, seed: int) -> dict[str, np.ndarray]:
        """Camera -> (T, H, W, 3) uint8, checked."""
        pictures = self.generator.generate(clip, prompt, seed=seed)
        for camera, images in clip.images.items():
            made = pictures.get(camera)
            if made is not None and not np.isfinite(made).all():
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
        return {camera: np.ascontiguousarray(pictures[camera]) for camera in clip.images}


def encode(task: ClipTask, clip: Clip, pictures: Mapping[str, np.ndarray], scores: Mapping[str, float]) -> MadeClip:
    """The rows of the source with other pictures: every other column is the source's, byte for byte."""
    columns: dict[str, Any] = {}
    videos: dict[str, bytes] = {}
    stats: dict[str, ImageStats] = {}
    for key, feature in task.features.items():
        if is_depth(feature):
            columns[key] = task.episode.rows[key]
            # Of the stored depth: an estimate of it is for the generator alone.
            stats[key] = _stats((_depth(data) for data in encoded_images(columns[key])), 1, np.uint16, 1.0)
        elif key.startswith(IMAGES):
            images = pictures[key.removeprefix(IMAGES)]
            stats[key] = _stats(images, 3, np.uint8, 255.0)
            if feature["dtype"] == "video":
                videos[key] = _video(images, task.episode.fps)
            else:
                columns[key] = _pngs(images)
        else:
            columns[key] = task.episode.rows[key]
    columns |= {name: task.episode.rows[name] for name in ("timestamp", "frame_index")}
    table = pa.table(columns)
    sink = io.BytesIO()
    rows = max(1, len(table) * ROW_GROUP_BYTES // max(1, table.nbytes))
    pq.write_table(table, sink, row_group_size=rows, **parquet_options(task.features))
    return MadeClip(
        parquet=sink.getvalue(),
        videos=videos,
        image_stats={key: {name: v.tolist() for name, v in s.result().items()} for key, s in stats.items()},
        scores={name: float(value) for name, value in scores.items()},
        length=len(clip),
    )


def _pngs(images: np.ndarray) -> pa.Array:
    cells = [{"bytes": encode_png(image), "path": f"frame-{i:06d}.png"} for i, image in enumerate(images)]
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
