"""The dataset that is augmented: its rows as they lie in Parquet, so that what is copied stays byte for byte."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from lerobot.datasets.utils import DatasetInfo

from emma.arrays import Array
from emma.datasets.encode import is_depth
from emma.datasets.features import DEPTH, IMAGES, INDEXES, MASK
from emma.datasets.index import PROVENANCE_PATH, read_provenance
from emma.datasets.metadata import DatasetMetadata, broken, picture_size
from emma.datasets.spill_arrays import empty
from emma.datasets.spill_tables import episode_rows
from emma.errors import EmmaError

# Frames of a video that are decoded at a time.
_DECODED = 64


@dataclass(frozen=True, kw_only=True)
class SourceEpisode:
    """One episode as stored. rows: its columns, pictures as encoded bytes; it can be sent to another machine.

    frames: camera -> (T, H, W, 3) uint8 for cameras stored as video.
    """

    index: int
    task: str
    fps: int
    rows: pa.Table
    provenance: Mapping[str, Any]
    frames: Mapping[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, kw_only=True)
class SourceDataset:
    """A LeRobotDataset v3, opened for some of its cameras, which have one size and rate."""

    root: Path
    info: DatasetInfo
    episodes: tuple[Mapping[str, Any], ...]
    tasks: Mapping[int, str]
    cameras: tuple[str, ...]
    provenance: tuple[dict[str, Any], ...]

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """All cameras of the dataset at `path`. Raises EmmaError if there is none, or nothing in it."""
        meta = DatasetMetadata.open(path)
        info, episodes = meta.info, meta.episodes
        cameras = tuple(key.removeprefix(IMAGES) for key in info.features if key.startswith(IMAGES))
        if not episodes or not cameras:
            raise EmmaError(
                f"nothing to augment in {path}",
                found=f"{len(episodes)} episodes, {len(cameras)} cameras",
                expected="at least one of each",
            )
        return cls(
            root=meta.root,
            info=info,
            episodes=episodes,
            tasks=meta.words,
            cameras=cameras,
            provenance=_provenance(meta.root),
        )

    def __len__(self) -> int:
        return len(self.episodes)

    def only(self, cameras: Sequence[str]) -> Self:
        """The same with some of the cameras. EmmaError if one is missing, or their sizes or rates differ."""
        if missing := [camera for camera in cameras if camera not in self.cameras]:
            raise EmmaError(
                f"the dataset {self.root} lacks cameras",
                found=f"{', '.join(self.cameras)}; no {', '.join(missing)}",
                expected=", ".join(cameras),
                fix="choose a generator for these cameras, or record them",
            )
        chosen = replace(self, cameras=tuple(cameras))
        kinds = {
            "sizes": {camera: "{1} x {0}".format(*chosen.size(camera)) for camera in cameras},
            "rates": {camera: f"{chosen._rate(camera):g} Hz" for camera in cameras},
        }
        for what, values in kinds.items():
            if len(set(values.values())) > 1:
                raise EmmaError(
                    f"the cameras of {self.root} have different {what}",
                    found=", ".join(f"{camera} {value}" for camera, value in values.items()),
                    expected="alike for all cameras that are generated together",
                    fix="choose cameras that are alike with --cameras, or convert the bags with one size",
                )
        if (rate := chosen._rate(cameras[0])) != self.fps:
            raise EmmaError(
                f"the videos of {self.root} have another rate than its frames",
                found=f"{rate:g} Hz",
                expected=f"{self.fps} Hz",
            )
        return chosen

    @property
    def fps(self) -> int:
        return int(self.info.fps)

    @property
    def robot(self) -> str:
        return str(self.info.robot_type)

    @property
    def depth_cameras(self) -> tuple[str, ...]:
        """The cameras with exact depth: 16-bit images in mm."""
        return tuple(camera for camera in self.cameras if self._feature(DEPTH + camera).get("dtype") == "image")

    @property
    def features(self) -> dict[str, dict[str, Any]]:
        """What an augmented dataset has: everything except what belongs to other cameras, and index columns."""
        kept = {}
        for key, feature in self.info.features.items():
            camera = key.removeprefix(IMAGES).removeprefix(DEPTH).removeprefix(MASK)
            of_camera = key.startswith((IMAGES, DEPTH, MASK))
            if key in INDEXES or (of_camera and camera not in self.cameras):
                continue
            if key.startswith(DEPTH) and camera not in self.depth_cameras:
                continue
            if key.startswith(MASK) and feature["dtype"] != "image":
                continue
            kept[key] = {**feature, "shape": tuple(feature["shape"])}
        return kept

    @property
    def video(self) -> bool:
        """Whether colour is stored as video."""
        return any(self._is_video(camera) for camera in self.cameras)

    def size(self, camera: str) -> tuple[int, int]:
        """Height and width, whichever order the feature's names give."""
        return picture_size(self._feature(IMAGES + camera))

    def sha256(self) -> str:
        """Of the folder `meta`, which has statistics of every episode's pictures and numbers."""
        digest = hashlib.sha256()
        for file in sorted((self.root / "meta").rglob("*")):
            if file.is_file():
                digest.update(f"{file.relative_to(self.root).as_posix()}\n".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    def length(self, index: int) -> int:
        return int(self.episodes[index]["length"])

    def copied_bytes(self, index: int) -> int:
        """How much of the disk the columns of an episode take that are copied: all but colour."""
        kept, total = {key for key in self.features if not key.startswith(IMAGES)}, 0
        with pq.ParquetFile(self.file(index)) as file:
            for group in range(file.metadata.num_row_groups):
                columns = (file.metadata.row_group(group).column(i) for i in range(file.metadata.num_columns))
                total += sum(
                    c.total_compressed_size for c in columns if c.path_in_schema.removesuffix(".bytes") in kept
                )
            rows = max(1, file.metadata.num_rows)
        return int(total * self.length(index) // rows)

    def read(self, index: int) -> SourceEpisode:
        """Episode `index`. Raises EmmaError if its rows are not there."""
        kept = [key for key, feature in self.features.items() if feature["dtype"] != "video"]
        columns = [*kept, "timestamp", "frame_index", "episode_index", "task_index"]
        file = self.file(index)
        try:
            rows = episode_rows(file, columns, index)
        except (OSError, pa.ArrowException, ValueError, KeyError) as error:
            raise EmmaError(
                f"cannot read episode {index}",
                found=f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}",
                fix=f"emma episodes validate {self.root}",
            ) from None
        if len(rows) != self.length(index):
            raise EmmaError(
                f"episode {index} is not whole in {file}",
                found=f"{len(rows)} frames",
                expected=self.length(index),
                fix=f"emma episodes validate {self.root}",
            )
        line = self.provenance[index] if index < len(self.provenance) else {}
        return SourceEpisode(
            index=index,
            task=self.tasks.get(rows["task_index"][0].as_py()) or self.instruction(index),
            fps=self.fps,
            rows=rows.drop_columns(["episode_index", "task_index"]),
            provenance={key: value for key, value in line.items() if key != "episode_index"},
            frames={camera: self._video(index, camera) for camera in self.cameras if self._is_video(camera)},
        )

    def _is_video(self, camera: str) -> bool:
        return bool(self._feature(IMAGES + camera)["dtype"] == "video")

    def _video(self, index: int, camera: str) -> Array:
        from lerobot.datasets.video_utils import decode_video_frames

        key = IMAGES + camera
        row = self.episodes[index]
        start = float(row[f"videos/{key}/from_timestamp"])
        times = [start + i / self.fps for i in range(self.length(index))]
        chunk, number = row[f"videos/{key}/chunk_index"], row[f"videos/{key}/file_index"]
        file = self.root / str(self.info.video_path).format(video_key=key, chunk_index=chunk, file_index=number)
        out = empty((len(times), *self.size(camera), 3), np.uint8)
        for first in range(0, len(times), _DECODED):
            part = times[first : first + _DECODED]
            try:
                frames = decode_video_frames(file, part, 0.5 / self.fps, backend="pyav", return_uint8=True)
                out[first : first + _DECODED] = frames.permute(0, 2, 3, 1).numpy()
            except Exception as error:  # decoders raise many kinds
                raise EmmaError(f"cannot decode {file}", found=f"{type(error).__name__}: {error}") from error
        return out

    def file(self, index: int) -> Path:
        """The Parquet file that holds an episode's rows, perhaps among others."""
        row = self.episodes[index]
        at = {"chunk_index": row["data/chunk_index"], "file_index": row["data/file_index"]}
        return self.root / str(self.info.data_path).format(**at)

    def instruction(self, index: int) -> str:
        return str((self.episodes[index].get("tasks") or [""])[0])

    def _feature(self, key: str) -> Mapping[str, Any]:
        feature: Mapping[str, Any] = self.info.features.get(key, {})
        return {} if key.startswith(DEPTH) and not is_depth(feature) else feature

    def _rate(self, camera: str) -> float:
        info = self._feature(IMAGES + camera).get("info") or {}
        return float(info.get("video.fps", self.fps))


def _provenance(root: Path) -> tuple[dict[str, Any], ...]:
    try:
        return tuple(read_provenance(root))
    except (OSError, ValueError) as error:
        raise broken(root, PROVENANCE_PATH, error) from None


def plain(value: Any) -> Any:
    """`value` as JSON has it: NaN as null."""
    return json.loads(json.dumps(value, default=str), parse_constant=lambda _: None)
