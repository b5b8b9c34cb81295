"""Pictures of one camera over all frames: as pixels while they fit in memory, else decoded when they are asked for."""

import os
import tempfile
from bisect import bisect_right
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Protocol

import numpy as np

from emma.datasets.encode import encode_png
from emma.datasets.files import decoded
from emma.datasets.legacy import cache_folder
from emma.datasets.video_frames import VideoFrames
from emma.errors import EmmaError


class Store(Protocol):
    """Pictures of some frames on the disk, safe for many threads."""

    def __len__(self) -> int: ...

    def read(self, at: Sequence[int]) -> list[np.ndarray]:
        """(H, W, 3) uint8 RGB of the store's own frames `at`. Raises EmmaError for what cannot be decoded."""
        ...


class Encoded:
    """PNG or JPEG in a file without a name: it is gone with this object, or the process."""

    def __init__(self) -> None:
        folder = cache_folder().parent / "pictures"
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._ends = [0]

    def __len__(self) -> int:
        return len(self._ends) - 1

    def append(self, data: bytes) -> None:
        self._file.write(data)
        self._ends.append(self._ends[-1] + len(data))

    def flush(self) -> None:
        """Make readable what was appended."""
        self._file.flush()

    def read(self, at: Sequence[int]) -> list[np.ndarray]:
        handle = self._file.fileno()
        return [decoded(os.pread(handle, self._ends[i + 1] - self._ends[i], self._ends[i])) for i in at]


class Filmed:
    """Frames of video files, by file and time."""

    def __init__(self, videos: VideoFrames, tolerance_s: float) -> None:
        self._videos, self._tolerance_s = videos, tolerance_s
        self._files: list[Path] = []
        self._times: list[np.ndarray] = []
        self._starts = [0]

    def __len__(self) -> int:
        return self._starts[-1]

    def extend(self, file: Path, times_s: np.ndarray) -> None:
        """Append the frames of an episode: their times (T,) in the file's own time."""
        self._files.append(file)
        self._times.append(np.asarray(times_s, np.float32))
        self._starts.append(self._starts[-1] + len(times_s))

    def read(self, at: Sequence[int]) -> list[np.ndarray]:
        images: list[np.ndarray] = []
        for frame in at:
            episode = bisect_right(self._starts, frame) - 1
            time_s = float(self._times[episode][frame - self._starts[episode]])
            images += self._videos.read(self._files[episode], [time_s], self._tolerance_s)
        return images


class _Gone:
    """Frames whose pixels are in memory for good."""

    def __len__(self) -> int:
        return 0

    def read(self, at: Sequence[int]) -> list[np.ndarray]:
        raise AssertionError("these frames are in memory")


class Pictures:
    """All frames of one camera, (H, W, 3) each: the first `cached` are kept as pixels once they were decoded."""

    def __init__(self, camera: str, size: tuple[int, int], cached: int, pool: Executor, workers: int) -> None:
        self._camera, self._pool, self._workers = camera, pool, workers
        # The system gives memory as it is written to.
        self._pixels = np.empty((cached, *size, 3), np.uint8)
        self._ready = np.zeros(cached, bool)
        self._stores: list[Store] = []
        # First frame of each store, the number of frames at the end.
        self._starts = [0]

    @property
    def in_memory(self) -> bool:
        """Whether no picture has to be decoded any more."""
        return len(self._ready) >= self._starts[-1] and bool(self._ready.all())

    def add(self, store: Store) -> None:
        """Append the frames of a store."""
        self._stores.append(store)
        self._starts.append(self._starts[-1] + len(store))

    def extend(self, encoded: Sequence[bytes]) -> None:
        """Append frames, PNG or JPEG: decoded while there is room, else kept as they are."""
        room = max(0, min(len(encoded), len(self._pixels) - self._starts[-1]))
        if room:
            first = self._starts[-1]
            for i, image in enumerate(self._pool.map(decoded, encoded[:room], chunksize=64), start=first):
                self._pixels[i] = self._checked(image)
            self._ready[first : first + room] = True
            self._append(_Gone, room)
        if room < len(encoded):
            store = self._append(Encoded, len(encoded) - room)
            for data in encoded[room:]:
                store.append(data)
            store.flush()

    def black(self, count: int) -> None:
        """Append black frames."""
        self.extend([encode_png(np.zeros(self._pixels.shape[1:], np.uint8))] * count)

    def _append[T: (_Gone, Encoded)](self, kind: type[T], count: int) -> T:
        """The last store if it is of this kind, else a new one: the files of a dataset come in many parts."""
        last = self._stores[-1] if self._stores else None
        store = last if isinstance(last, kind) else kind()
        if store is not last:
            self._stores.append(store)
            self._starts.append(self._starts[-1])
        self._starts[-1] += count
        return store

    def __getitem__(self, at: np.ndarray) -> np.ndarray:
        """(B, H, W, 3) uint8 RGB of frames `at` (B,)."""
        kept = at < len(self._ready)
        ready = kept.copy()
        ready[kept] = self._ready[at[kept]]
        if ready.all():
            return self._pixels[at]
        images = np.empty((len(at), *self._pixels.shape[1:]), np.uint8)
        images[ready] = self._pixels[at[ready]]
        wanted = np.unique(at[~ready])
        # Neighbours in a file go to one thread, which decodes on from one to the next.
        parts = [part for part in np.array_split(wanted, self._workers) if len(part)]
        fresh: dict[int, np.ndarray] = {}
        for part, decoded_part in zip(parts, self._pool.map(self._read, parts), strict=True):
            fresh |= dict(zip(part.tolist(), decoded_part, strict=True))
        for i in np.flatnonzero(~ready):
            images[i] = fresh[int(at[i])]
        for frame, image in fresh.items():
            if frame < len(self._ready):
                self._pixels[frame] = image
                self._ready[frame] = True
        return images

    def _read(self, at: np.ndarray) -> list[np.ndarray]:
        images: list[np.ndarray] = []
        stores = np.searchsorted(self._starts, at, side="right") - 1
        for number in np.unique(stores):
            mine = at[stores == number] - self._starts[number]
            images += [self._checked(image) for image in self._stores[number].read(mine.tolist())]
        return images

    def _checked(self, image: np.ndarray) -> np.ndarray:
        if image.shape != self._pixels.shape[1:]:
            height, width = self._pixels.shape[1:3]
            raise EmmaError(
                f"a picture of camera {self._camera} has another size than meta/info.json names",
                found=f"{image.shape[1]} x {image.shape[0]}",
                expected=f"{width} x {height}",
                fix="`emma episodes validate` tells which",
            )
        return image
