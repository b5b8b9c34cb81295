"""Frames of LeRobotDatasets in memory, and batches of them for any LeRobot policy class."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from emma.datasets.encode import encode_png
from emma.datasets.files import dataset_root, encoded_images
from emma.datasets.marks import intervention_frames
from emma.errors import EmmaError
from emma.files import no_room
from emma.policy.end_effector.space import EndEffectorSpace
from emma.training.end_effector import columns_of, in_space, is_end_effector, move, require_joints
from emma.training.mixture import parse_data
from emma.training.pictures import Pictures

IMAGES = "observation.images."
STATE, ACTION = "observation.state", "action"
# A name that LeRobot's processors carry through.
VALUES_PAD = "action_values_is_pad"
# Decoded pixels of all datasets and cameras together; what is beyond stays as on disk and is decoded for each batch.
MEMORY_BYTES = 8 * 2**30


@dataclass(frozen=True, kw_only=True)
class Source:
    """One opened dataset. kind: real, generated or human."""

    root: Path
    meta: LeRobotDatasetMetadata
    kind: str = "real"

    @property
    def features(self) -> dict[str, dict]:
        return dict(self.meta.features)


def open_source(path: str | Path) -> Source:
    """Read a LeRobotDataset's metadata; `path` may begin with its kind (`generated:`).

    Raises EmmaError if there is none, or nothing in it.
    """
    kind, place = parse_data(str(path))
    root = dataset_root(place)
    try:
        meta = LeRobotDatasetMetadata(f"local/{root.name}", root=root)
    except Exception as error:  # LeRobot raises many kinds for a broken folder
        # It keeps a copy of the tables in its cache, which may be on a full disk while the dataset is whole.
        if no_room(error):
            raise
        raise EmmaError(
            f"cannot read the dataset {place}",
            found=f"{type(error).__name__}: {error}",
            expected="a whole LeRobotDataset v3",
            fix="see `emma episodes validate`",
        ) from error
    if meta.total_frames == 0:
        raise EmmaError(f"the dataset {place} is empty", found="0 frames", expected="at least one episode")
    return Source(root=root, meta=meta, kind=kind)


def require_alike(sources: Sequence[Source], cameras: Sequence[str], poses: bool = False) -> None:
    """Raise EmmaError unless all datasets share fps, vectors and `cameras`.

    poses: vectors go into an end-effector space, where those of other embodiments fit, too, and hands may lack cameras.
    """
    first = sources[0]
    for source in sources:
        if not poses:
            require_joints(source.features, f"dataset {source.root}")
        keys = [STATE, ACTION, *(IMAGES + camera for camera in cameras)]
        if poses:
            lacking = is_end_effector(source.features)
            keys = [key for key in keys[2:] if key in source.features or not lacking]
        for key in keys:
            if key not in source.features:
                there = [k.removeprefix(IMAGES) for k in source.features if k.startswith(IMAGES)]
                raise EmmaError(
                    f"dataset {source.root} lacks {key}",
                    found=f"cameras {', '.join(there) or 'none'}",
                    expected=", ".join(keys),
                    fix="choose cameras that every dataset has with --cameras",
                )
            if tuple(source.features[key]["shape"]) != tuple(first.features[key]["shape"]):
                raise EmmaError(
                    f"datasets differ in {key}",
                    found=f"{tuple(source.features[key]['shape'])} in {source.root}",
                    expected=f"{tuple(first.features[key]['shape'])} as in {first.root}",
                    fix="import recordings of hands with --size as the robot's camera" if poses else None,
                )
        if source.meta.fps != first.meta.fps:
            raise EmmaError(
                "datasets differ in fps", found=f"{source.meta.fps} in {source.root}", expected=f"{first.meta.fps}"
            )


class FrameTable:
    """All frames of some datasets: vectors as arrays, images decoded once while they fit in `memory_bytes`.

    `batch` gives what LeRobot's loader with `delta_timestamps` would: observations at the given offsets, action chunks
    with `action_is_pad`, tasks as text. Offsets outside the episode repeat its first or last frame. Where numbers of an
    action may not count, `VALUES_PAD` (B, K, A) bool says which do not.

    space: the robot's end-effector space, into which all vectors go, or None for joints as they are stored. Datasets of
    hands may lack cameras, which are black then.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        cameras: Sequence[str],
        *,
        space: EndEffectorSpace | None = None,
        threads: int = 2,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        require_alike(sources, cameras, space is not None)
        self.cameras, self.space = tuple(cameras), space
        # Pixel values of one frame, all cameras.
        self.frame_values = sum(int(np.prod(sources[0].features[IMAGES + camera]["shape"])) for camera in cameras)
        read, tasks, lengths, of, number = [], [], [], [], []
        self._pool = ThreadPoolExecutor(threads)
        pictures = self._pictures(sources, memory_bytes)
        for place, source in enumerate(sources):
            names = dict(zip(source.meta.tasks["task_index"], source.meta.tasks.index, strict=True))
            seen = [camera for camera in cameras if IMAGES + camera in source.features]
            numbers, parts = columns_of(source.features), []
            for table in _tables(source, [*numbers, "episode_index", "task_index", *(IMAGES + c for c in seen)]):
                parts.append(table.select(numbers))
                tasks += [str(names[i]) for i in table["task_index"].to_pylist()]
                episode = table["episode_index"].to_numpy()
                begins = np.flatnonzero(np.diff(episode, prepend=-1))
                lengths += np.diff(begins, append=len(episode)).tolist()
                of += [place] * len(begins)
                number += episode[begins].tolist()
                for camera in cameras:
                    there = encoded_images(table[IMAGES + camera]) if camera in seen else None
                    pictures[camera].extend(there or [_black(sources[0], camera)] * len(table))
            read.append(in_space(space, parts, source.features, cameras, f"dataset {source.root}"))
        self.states = torch.from_numpy(np.concatenate([part.states for part in read]))
        self.actions = torch.from_numpy(np.concatenate([part.actions for part in read]))
        # (N, A) bool: which numbers of an action count, None where all do; (N, 4, 4): what moves the frame's poses.
        self.valid = _joined([part.valid for part in read], [np.ones(part.actions.shape, bool) for part in read])
        self._frames = _joined([part.frames for part in read], [_still(len(part.actions)) for part in read])
        self.tasks = tasks
        self.sources = tuple(sources)
        # (E + 1,) first frame of each episode, the number of frames at the end; (E,) its source, and number in there.
        self.starts = np.concatenate([[0], np.cumsum(lengths)])
        self.source_of, self.number_of = np.array(of), np.array(number)
        self.source_of_frame = np.repeat(self.source_of, lengths)
        self._first = np.repeat(self.starts[:-1], lengths)
        self._last = np.repeat(self.starts[1:] - 1, lengths)
        self._images = pictures
        for values, key in ((self.states, STATE), (self.actions, ACTION)):
            if not bool(torch.isfinite(values).all()):
                raise EmmaError(f"non-finite values in {key}", found="NaN or Inf", expected="finite numbers")

    def valid_of(self, source: int) -> np.ndarray:
        """(n, A) bool: which numbers count in the frames of one source."""
        mine = self.source_of_frame == source
        return np.ones((int(mine.sum()), self.actions.shape[1]), bool) if self.valid is None else self.valid[mine]

    def _pictures(self, sources: Sequence[Source], memory_bytes: int) -> dict[str, Pictures]:
        shapes = {c: tuple(sources[0].features[IMAGES + c]["shape"]) for c in self.cameras}
        frame = self.frame_values
        total = sum(source.meta.total_frames for source in sources)
        decoded = min(total, memory_bytes // frame) if frame else 0
        return {camera: Pictures(shape, decoded, self._pool) for camera, shape in shapes.items()}

    def __len__(self) -> int:
        return len(self.actions)

    def pixels(self, camera: str, at: np.ndarray) -> np.ndarray:
        """(B, H, W, 3) uint8 RGB of frames `at` (B,)."""
        return self._images[camera][at]

    def episode_names(self) -> list[str]:
        """What to call each episode: `generated:NAME#3`."""
        sources = [self.sources[i] for i in self.source_of]
        return [f"{s.kind}:{s.root.name}#{n}" for s, n in zip(sources, self.number_of, strict=True)]

    @cached_property
    def interventions(self) -> np.ndarray:
        """(N,) bool: frames in which a person had taken the robot over from a policy.

        Raises EmmaError if a dataset's provenance does not fit it.
        """
        return np.concatenate([intervention_frames(source.root) for source in self.sources])

    def drawable(self, kinds: Sequence[str], drop_last: int = 0) -> np.ndarray:
        """(n,) frames of these kinds, without the last `drop_last` of each episode (LeRobot's drop_n_last_frames).

        Raises EmmaError if none is left.
        """
        mine = np.array([source.kind in kinds for source in self.sources])[self.source_of]
        ranges = [np.arange(a, b - drop_last) for a, b, m in zip(self.starts, self.starts[1:], mine, strict=False) if m]
        frames = np.concatenate(ranges) if ranges else np.empty(0, np.int64)
        if len(frames) == 0:
            raise EmmaError(
                f"no {' or '.join(kinds)} frame to train on",
                found=f"no episode is longer than the {drop_last} frames that the policy leaves out at the end",
                expected="longer episodes",
            )
        return frames

    def batch(
        self, indices: np.ndarray, action_offsets: Sequence[int], observation_offsets: Sequence[int] | None = None
    ) -> dict[str, Any]:
        """Frames `indices` (B,): images (B, 3, H, W) float32 in [0, 1], state (B, S), action (B, K, A), action_is_pad.

        With `observation_offsets` (T of them) observations get a time axis: (B, T, ...).
        """
        batch = self.numbers(indices, action_offsets, observation_offsets)
        batch["task"] = [self.tasks[i] for i in indices]
        at = indices if observation_offsets is None else self._offset(indices, observation_offsets)[0]
        for camera in self.cameras:
            images = torch.from_numpy(self.pixels(camera, at.reshape(-1)))
            images = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format).div_(255.0)
            batch[IMAGES + camera] = images.reshape(*at.shape, *images.shape[1:])
        return batch

    def numbers(
        self, indices: np.ndarray, action_offsets: Sequence[int], observation_offsets: Sequence[int] | None = None
    ) -> dict[str, Any]:
        """`batch` without images and tasks."""
        chunk, padded = self._offset(indices, action_offsets)
        at = indices if observation_offsets is None else self._offset(indices, observation_offsets)[0]
        batch = {ACTION: self.actions[chunk], "action_is_pad": torch.from_numpy(padded), STATE: self.states[at]}
        if self.valid is not None:
            batch[VALUES_PAD] = torch.from_numpy(~self.valid[chunk])
        if self._frames is not None:
            for key in (ACTION, STATE):
                batch[key] = torch.from_numpy(move(batch[key].numpy(), self._frames[indices]).astype(np.float32))
        return batch

    def relative_statistics(self, action_offsets: Sequence[int], joints: np.ndarray) -> dict[str, torch.Tensor]:
        """Mean and standard deviation (A,) of action minus state over whole chunks, for the joints of the mask (A,)."""
        every = np.arange(len(self))
        total, squares, count = torch.zeros(self.actions.shape[1], dtype=torch.float64), None, 0
        squares = torch.zeros_like(total)
        mask = torch.from_numpy(joints.astype(np.float64))
        for offset in action_offsets:
            at, padded = self._offset(every, [offset])
            real = ~padded[:, 0]
            values = self.actions[at[real, 0]].double() - self.states[every[real]].double() * mask
            total += values.sum(0)
            squares += values.square().sum(0)
            count += len(values)
        mean = total / count
        return {"mean": mean.float(), "std": (squares / count - mean.square()).clamp_min(0).sqrt().float()}

    def _offset(self, indices: np.ndarray, offsets: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        wanted = indices[:, None] + np.asarray(offsets, np.int64)[None]
        first, last = self._first[indices][:, None], self._last[indices][:, None]
        inside = np.clip(wanted, first, last)
        return inside, inside != wanted


def _tables(source: Source, columns: list[str]) -> Iterator[Any]:
    for column in columns:
        if column.startswith(IMAGES) and source.features[column]["dtype"] != "image":
            raise EmmaError(
                f"{source.root} stores {column} as {source.features[column]['dtype']}",
                found=source.features[column]["dtype"],
                expected="image (lossless PNG)",
                fix="convert the bags without video, or train with lerobot-train",
            )
    for file in sorted((source.root / "data").rglob("*.parquet")):
        table = pq.read_table(file, columns=columns)
        # A conversion that was killed may have left an episode that does not count.
        counted = table["episode_index"].to_numpy() < source.meta.total_episodes
        if counted.any():
            yield table if counted.all() else table.filter(counted)


def _joined(parts: Sequence[np.ndarray | None], otherwise: Sequence[np.ndarray]) -> np.ndarray | None:
    """The parts as one array, with a substitute for those that are None; None if all are."""
    if all(part is None for part in parts):
        return None
    return np.concatenate([other if part is None else part for part, other in zip(parts, otherwise, strict=True)])


def _still(count: int) -> np.ndarray:
    return np.tile(np.eye(4), (count, 1, 1))


def _black(source: Source, camera: str) -> bytes:
    return encode_png(np.zeros(tuple(source.features[IMAGES + camera]["shape"]), np.uint8))
