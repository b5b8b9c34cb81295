"""Where the robot itself is in the pictures: its real pixels may be kept in everything that is generated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from emma.datasets.features import IMAGES, MASK
from emma.datasets.files import decoded, each_encoded
from emma.datasets.source import SourceDataset, SourceEpisode
from emma.datasets.spill_arrays import stacked
from emma.errors import EmmaError


class RobotMasks(Protocol):
    """Masks of one episode."""

    def __call__(self, episode: SourceEpisode, cameras: Sequence[str]) -> Mapping[str, np.ndarray]:
        """Camera -> (T, H, W) bool, True on the robot. Cameras without masks are left out."""
        ...


@dataclass(frozen=True)
class StoredMasks:
    """Those of the dataset: `observation.mask.<camera>`, as images; any pixel that is not black."""

    def __call__(self, episode: SourceEpisode, cameras: Sequence[str]) -> dict[str, np.ndarray]:
        there = [camera for camera in cameras if MASK + camera in episode.rows.column_names]
        return {c: stacked(map(mask_of, each_encoded(episode.rows[MASK + c])), len(episode)) for c in there}


@dataclass(frozen=True)
class FileMasks:
    """Pictures in a folder, as video segmentation writes them: FOLDER/<camera>/<episode, 6 digits>/*.png.

    One for each frame, in the order of their names.
    """

    folder: Path

    def __call__(self, episode: SourceEpisode, cameras: Sequence[str]) -> dict[str, np.ndarray]:
        """Raises EmmaError where there are not as many pictures as frames, or they have another size."""
        return {c: self._read(episode, c) for c in cameras if (self.folder / c).is_dir()}

    def _read(self, episode: SourceEpisode, camera: str) -> np.ndarray:
        place = self.folder / camera / f"{episode.index:06d}"
        files = sorted(place.glob("*.png"))
        if len(files) != len(episode):
            raise EmmaError(
                f"the masks in {place} do not fit episode {episode.index}",
                found=f"{len(files)} PNG files",
                expected=f"{len(episode)}, one for each frame",
            )
        height, width = _size(episode, camera)
        return stacked((_sized(file, height, width) for file in files), len(episode))


def require_masks(source: SourceDataset, folder: Path | None) -> None:
    """EmmaError if no camera of `source` has masks: in `folder`, or without one in the dataset."""
    if folder is None:
        if not any(MASK + camera in source.features for camera in source.cameras):
            raise EmmaError(
                f"{source.root} has no masks of the robot",
                found="no observation.mask.<camera>",
                expected="masks for one of " + ", ".join(source.cameras),
                fix="give a folder of them: --keep-robot FOLDER, with FOLDER/<camera>/<episode>/*.png",
            )
    elif not any((folder / camera).is_dir() for camera in source.cameras):
        raise EmmaError(
            f"{folder} has no masks for {source.root}",
            found=", ".join(sorted(p.name for p in folder.iterdir())) if folder.is_dir() else "no such folder",
            expected="a folder for one of " + ", ".join(source.cameras),
        )


def mask_of(data: bytes) -> np.ndarray:
    """(H, W) bool of a stored mask."""
    return np.asarray(decoded(data, cv2.IMREAD_GRAYSCALE) > 0)


def _sized(file: Path, height: int, width: int) -> np.ndarray:
    mask = mask_of(file.read_bytes())
    if mask.shape != (height, width):
        raise EmmaError(
            f"{file} has another size than the pictures",
            found=f"{mask.shape[1]} x {mask.shape[0]}",
            expected=f"{width} x {height}",
        )
    return mask


def _size(episode: SourceEpisode, camera: str) -> tuple[int, int]:
    if camera in episode.frames:
        height, width = episode.frames[camera].shape[1:3]
    else:
        height, width = decoded(next(each_encoded(episode.rows[IMAGES + camera]))).shape[:2]
    return height, width
