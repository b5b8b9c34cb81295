"""Frames of one episode to a Parquet file, image by image, in constant memory.

Nothing here imports torch or LeRobot: a worker process that encodes must start in a second, not in ten.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emma.arrays import Array
from emma.datasets.features import ACTION, DEPTH, IMAGES, INDEXES, STATE
from emma.datasets.image_stats import ImageStats
from emma.datasets.video import VideoFile
from emma.errors import EmmaError
from emma.observation import Observation

# A row group is written when it holds this much: what a writer keeps in memory, and what a reader must take at once.
ROW_GROUP_BYTES = 32 << 20
# Known only when the episode takes its place in a dataset.
PLACED = ("episode_index", "index", "task_index")

# Observation, action, and where the features have more vectors than these two, the others by feature.
Frame = tuple[Observation, Array] | tuple[Observation, Array, Mapping[str, Array]]


@dataclass(frozen=True, kw_only=True)
class EncodedEpisode:
    """An episode in a Parquet file of its own, without the columns that depend on its place in a dataset.

    videos: feature -> its video file; vectors: the numeric columns, (N, ...); image_stats: feature -> statistics.
    """

    path: Path
    length: int
    videos: Mapping[str, Path]
    vectors: Mapping[str, Array]
    image_stats: Mapping[str, Mapping[str, Array]]

    def remove(self) -> None:
        """Delete its files."""
        for path in (self.path, *self.videos.values()):
            path.unlink(missing_ok=True)


def encode_episode(
    frames: Iterable[Frame], features: Mapping[str, dict[str, Any]], fps: int, path: Path
) -> EncodedEpisode:
    """Write `frames` to `path`, and a video beside it for each feature that is one.

    Images become PNG: RGB 8 bit, depth 16 bit, both exact. Raises EmmaError for no frames, a missing camera, a wrong
    shape or type, or a number that is not finite; then no file is left.
    """
    encoder = _EpisodeEncoder(features, fps, path)
    try:
        for observation, action, *more in frames:
            encoder.add(observation, action, more[0] if more else {})
        return encoder.finish()
    except BaseException:
        encoder.abort()
        raise


class _EpisodeEncoder:
    """Takes one frame after the other; what is in memory is a row group and the statistics."""

    def __init__(self, features: Mapping[str, dict[str, Any]], fps: int, path: Path) -> None:
        self._features, self._fps, self._path = features, fps, path
        self._schema = _staged_schema(features)
        self._writer = pq.ParquetWriter(path, self._schema, **parquet_options(features))
        self._rows: dict[str, list[Any]] = {name: [] for name in self._schema.names}
        self._vectors: dict[str, list[Array]] = {
            key: [] for key, feature in features.items() if feature["dtype"] not in ("image", "video")
        }
        self._images = {key: feature for key, feature in features.items() if feature["dtype"] in ("image", "video")}
        self._stats = {
            key: ImageStats(1, np.uint16, 1.0) if is_depth(feature) else ImageStats(3, np.uint8, 255.0)
            for key, feature in self._images.items()
        }
        self._videos = {
            key: VideoFile(path.with_name(f"{path.stem}.{key}.mp4"), feature["shape"][0], feature["shape"][1], fps)
            for key, feature in features.items()
            if feature["dtype"] == "video"
        }
        self._length = self._size = 0

    def add(self, observation: Observation, action: Array, more: Mapping[str, Array]) -> None:
        values = {STATE: observation.state, ACTION: action, **more}
        for key in self._vectors:
            if key not in values:
                raise EmmaError(f"frame {self._length} has no {key}", found="nothing", expected="a vector")
            vector = _checked_vector(key, values[key], self._features[key], self._length)
            self._vectors[key].append(vector)
            self._rows[key].append(vector)
        for key, feature in self._images.items():
            image = _checked_image(key, _image_of(observation, key), feature, self._length)
            self._stats[key].add(image)
            if key in self._videos:
                self._videos[key].add(image)
                continue
            png = encode_png(image)
            self._size += len(png)
            self._rows[key].append({"bytes": png, "path": f"frame-{self._length:06d}.png"})
        self._rows["frame_index"].append(self._length)
        self._rows["timestamp"].append(np.float32(self._length / self._fps))
        self._length += 1
        if self._size >= ROW_GROUP_BYTES:
            self._write_rows()

    def _write_rows(self) -> None:
        self._writer.write_table(pa.table(self._rows, schema=self._schema))
        self._rows, self._size = {name: [] for name in self._schema.names}, 0

    def finish(self) -> EncodedEpisode:
        if not self._length:
            raise EmmaError("an episode without frames", found="0 frames", expected="at least one")
        if self._rows["frame_index"]:
            self._write_rows()
        self._writer.close()
        for video in self._videos.values():
            video.close()
        index = np.arange(self._length)
        return EncodedEpisode(
            path=self._path,
            length=self._length,
            videos={key: video.path for key, video in self._videos.items()},
            vectors={
                **{key: np.stack(rows) for key, rows in self._vectors.items()},
                "frame_index": index,
                "timestamp": (index / self._fps).astype(np.float32),
            },
            image_stats={key: stats.result() for key, stats in self._stats.items()},
        )

    def abort(self) -> None:
        self._writer.close()
        self._path.unlink(missing_ok=True)
        for video in self._videos.values():
            video.abort()


def _staged_schema(features: Mapping[str, dict[str, Any]]) -> pa.Schema:
    """The columns of an episode outside of a dataset; in it they get LeRobot's own types."""
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = [
        (key, image if feature["dtype"] == "image" else pa.list_(pa.float32(), feature["shape"][0]))
        for key, feature in features.items()
        if feature["dtype"] != "video"
    ]
    return pa.schema([*columns, ("timestamp", pa.float32()), ("frame_index", pa.int64())])


def parquet_options(features: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """How columns are stored: no dictionary and no bounds for PNG bytes, which never repeat."""
    plain = [*INDEXES, *(key for key, feature in features.items() if feature["dtype"] not in ("image", "video"))]
    return {
        "compression": "snappy",
        "use_dictionary": plain,
        "write_statistics": plain,
        "write_page_checksum": True,
    }


def encode_png(image: Array) -> bytes:
    """PNG of (H, W, 3) uint8 RGB or (H, W) uint16. OpenCV's default is the fastest that still compresses."""
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    ok, png = cv2.imencode(".png", pixels)
    if not ok:
        raise EmmaError("an image could not be encoded", found=f"{image.dtype} {image.shape}", expected="RGB or depth")
    return bytes(png)


def is_depth(feature: Mapping[str, Any]) -> bool:
    """Whether a feature is a depth map."""
    return bool((feature.get("info") or {}).get("is_depth_map"))


def _image_of(observation: Observation, key: str) -> Array | None:
    if key.startswith(DEPTH):
        return observation.depth.get(key.removeprefix(DEPTH))
    return observation.images.get(key.removeprefix(IMAGES))


def _checked_vector(key: str, value: Array, feature: Mapping[str, Any], frame: int) -> Array:
    vector = np.asarray(value, dtype=np.float32)
    if vector.shape != tuple(feature["shape"]):
        raise EmmaError(
            f"wrong shape of {key} in frame {frame}",
            found=vector.shape,
            expected=f"{tuple(feature['shape'])}: {feature['names']}",
        )
    if not np.isfinite(vector).all():
        raise EmmaError(f"{key} is not finite in frame {frame}", found=vector.tolist(), expected="finite numbers")
    return vector


def _checked_image(key: str, image: Array | None, feature: Mapping[str, Any], frame: int) -> Array:
    if image is None:
        raise EmmaError(f"frame {frame} has no {key}", found="nothing", expected=f"an image {tuple(feature['shape'])}")
    shape = tuple(feature["shape"][:2]) if is_depth(feature) else tuple(feature["shape"])
    dtype = np.uint16 if is_depth(feature) else np.uint8
    if image.shape != shape or image.dtype != dtype:
        raise EmmaError(
            f"wrong image {key} in frame {frame}",
            found=f"{image.dtype} {image.shape}",
            expected=f"{np.dtype(dtype)} {shape}",
        )
    return np.ascontiguousarray(image)
