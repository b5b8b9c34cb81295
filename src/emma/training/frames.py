"""Frames of LeRobotDatasets, and batches of them for any LeRobot policy class."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np
import psutil
import torch

from emma.datasets.marks import intervention_frames
from emma.datasets.video_frames import VideoFrames
from emma.errors import EmmaError
from emma.policy.end_effector.space import EndEffectorSpace
from emma.training.end_effector import in_space, move
from emma.training.pictures import Filmed, Pictures
from emma.training.rows import Rows, read_rows
from emma.training.sources import ACTION, IMAGES, STATE, Source, open_source, open_sources, require_alike

__all__ = ["ACTION", "IMAGES", "STATE", "FrameTable", "Source", "open_source", "open_sources", "require_alike"]

# A name that LeRobot's processors carry through.
VALUES_PAD = "action_values_is_pad"
# Decoded pixels of all datasets and cameras together; what is beyond is decoded for each batch.
MEMORY_BYTES = 8 * 2**30


def cache_bytes() -> int:
    """Memory for decoded pictures unless it is given: MEMORY_BYTES, or half of what is free now."""
    return min(MEMORY_BYTES, int(psutil.virtual_memory().available) // 2)


class FrameTable:
    """All frames of some datasets: vectors as arrays, pictures as pixels while they fit in `memory_bytes`.

    `batch` gives what LeRobot's loader with `delta_timestamps` would: observations at the given offsets, action chunks
    with `action_is_pad`, tasks as text. Offsets outside the episode repeat its first or last frame. Where numbers of an
    action may not count, `VALUES_PAD` (B, K, A) bool says which do not. Pictures of image datasets are decoded once, at
    the start; frames of videos when they are first asked for.

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
        memory_bytes: int | None = None,
    ) -> None:
        require_alike(sources, cameras, space is not None)
        self.cameras, self.space = tuple(cameras), space
        self.sources = tuple(sources)
        sizes = [self.sources[0].size(camera) for camera in cameras]
        # Pixel values of one frame, all cameras.
        self.frame_values = sum(3 * height * width for height, width in sizes)
        self.memory_bytes = cache_bytes() if memory_bytes is None else memory_bytes
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="pictures")
        self._images = self._pictures(threads)
        videos = VideoFrames(threads)
        parts = [self._load(source, videos) for source in sources]
        read = [
            in_space(space, part.vectors, source.features, cameras, f"dataset {source.root}")
            for source, part in zip(sources, parts, strict=True)
        ]
        self.states = torch.from_numpy(np.concatenate([part.states for part in read]))
        self.actions = torch.from_numpy(np.concatenate([part.actions for part in read]))
        # (N, A) bool: which numbers of an action count, None where all do; (N, 4, 4): what moves the frame's poses.
        self.valid = _joined([part.valid for part in read], [np.ones(part.actions.shape, bool) for part in read])
        self._frames = _joined([part.frames for part in read], [_still(len(part.actions)) for part in read])
        self.tasks = [task for part in parts for task in part.tasks]
        lengths = np.concatenate([part.lengths for part in parts])
        # (E + 1,) first frame of each episode, the number of frames at the end; (E,) its source, and number in there.
        self.starts = np.concatenate([[0], np.cumsum(lengths)])
        self.source_of = np.repeat(np.arange(len(parts)), [len(part.lengths) for part in parts])
        self.number_of = np.concatenate([np.arange(len(part.lengths)) for part in parts])
        self.source_of_frame = np.repeat(self.source_of, lengths)
        self._first = np.repeat(self.starts[:-1], lengths)
        self._last = np.repeat(self.starts[1:] - 1, lengths)
        for values, key in ((self.states, STATE), (self.actions, ACTION)):
            if not bool(torch.isfinite(values).all()):
                raise EmmaError(f"non-finite values in {key}", found="NaN or Inf", expected="finite numbers")

    def valid_of(self, source: int) -> np.ndarray:
        """(n, A) bool: which numbers count in the frames of one source."""
        mine = self.source_of_frame == source
        return np.ones((int(mine.sum()), self.actions.shape[1]), bool) if self.valid is None else self.valid[mine]

    def _pictures(self, threads: int) -> dict[str, Pictures]:
        sizes = {camera: self.sources[0].size(camera) for camera in self.cameras}
        frame = self.frame_values
        total = sum(source.meta.total_frames for source in self.sources)
        self.cached = min(total, self.memory_bytes // frame) if frame else total
        return {camera: Pictures(camera, size, self.cached, self._pool, threads) for camera, size in sizes.items()}

    def _load(self, source: Source, videos: VideoFrames) -> Rows:
        rows = read_rows(source, self._images)
        for camera in self.cameras:
            if source.films(camera):
                film = Filmed(videos, 0.5 / source.meta.fps)
                ends = np.cumsum(rows.lengths)
                for episode, times in enumerate(np.split(rows.times_s, ends[:-1])):
                    start_s = source.meta.episodes[episode][f"videos/{source.cameras[camera]}/from_timestamp"]
                    film.extend(source.meta.video_file(source.cameras[camera], episode), start_s + times)
                self._images[camera].add(film)
        return rows

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def in_memory(self) -> bool:
        """Whether no picture has to be decoded any more."""
        return all(pictures.in_memory for pictures in self._images.values())

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

    def pictures(self, indices: np.ndarray, observation_offsets: Sequence[int] | None = None) -> dict[str, np.ndarray]:
        """Pictures of the frames `indices` (B,) and offsets (T,) by camera, (B or B * T, H, W, 3) uint8 RGB."""
        at = indices if observation_offsets is None else self._offset(indices, observation_offsets)[0]
        return {camera: self.pixels(camera, at.reshape(-1)) for camera in self.cameras}

    def batch(
        self,
        indices: np.ndarray,
        action_offsets: Sequence[int],
        observation_offsets: Sequence[int] | None = None,
        pictures: Mapping[str, np.ndarray] | None = None,
    ) -> dict[str, Any]:
        """Frames `indices` (B,): images (B, 3, H, W) float32 in [0, 1], state (B, S), action (B, K, A), action_is_pad.

        With `observation_offsets` (T of them) observations get a time axis: (B, T, ...). pictures: what `pictures`
        gave for them before.
        """
        batch = self.numbers(indices, action_offsets, observation_offsets)
        batch["task"] = [self.tasks[i] for i in indices]
        at = indices if observation_offsets is None else self._offset(indices, observation_offsets)[0]
        for camera, pixels in (pictures or self.pictures(indices, observation_offsets)).items():
            images = torch.from_numpy(pixels)
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


def _joined(parts: Sequence[np.ndarray | None], otherwise: Sequence[np.ndarray]) -> np.ndarray | None:
    """The parts as one array, with a substitute for those that are None; None if all are."""
    if all(part is None for part in parts):
        return None
    return np.concatenate([other if part is None else part for part, other in zip(parts, otherwise, strict=True)])


def _still(count: int) -> np.ndarray:
    return np.tile(np.eye(4), (count, 1, 1))
