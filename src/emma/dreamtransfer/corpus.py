"""Training clips of one length in flat files that many readers share through the page cache."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from emma.dreamtransfer.dataset import DatasetClips
from emma.errors import EmmaError
from emma.files import atomic_write_text
from emma.interrupts import end_with_parent
from emma.records import decode, encode

INDEX = "corpus.json"
# Episodes that one worker packs at a time.
_PART = 50


@dataclass(frozen=True, kw_only=True)
class Cut:
    """What clips were cut from, and how long they are."""

    data: tuple[str, ...]
    views: tuple[str, ...]
    frames: int


@dataclass(frozen=True, kw_only=True)
class CorpusIndex:
    """The file beside the clips, written last."""

    VERSION: ClassVar[int] = 1
    cut: Cut
    fps: float
    captions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """N clips of T frames and V views, memory-mapped and read-only.

    images: (N, T, V, H, W, 3) uint8; depth: (N, T, V, H, W) uint16 mm; state: (N, T, J) float32; captions: N sentences.
    """

    root: Path
    views: tuple[str, ...]
    fps: float
    captions: tuple[str, ...]
    images: np.ndarray
    depth: np.ndarray
    state: np.ndarray

    def __len__(self) -> int:
        return len(self.captions)

    @classmethod
    def load(cls, root: Path) -> Self:
        """Open what `pack` wrote."""
        index = decode(CorpusIndex, (root / INDEX).read_bytes(), str(root / INDEX))
        arrays = {name: np.load(root / f"{name}.npy", mmap_mode="r") for name in ("images", "depth", "state")}
        return cls(root=root, views=index.cut.views, fps=index.fps, captions=index.captions, **arrays)


def pack(
    data: Sequence[Path],
    out: Path,
    *,
    views: Sequence[str],
    frames: int,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Corpus:
    """Cut episodes of the datasets `data` into clips of `frames` frames in the folder `out`; done once, then opened.

    Shorter episodes are left out. Raises EmmaError if the datasets differ in size or rate, or nothing is left.
    """
    cut = Cut(data=tuple(str(Path(path).resolve()) for path in data), views=tuple(views), frames=frames)
    with suppress(OSError, EmmaError):  # none yet, or of another version: it is made anew
        if decode(CorpusIndex, (out / INDEX).read_bytes(), str(out / INDEX)).cut == cut:
            return Corpus.load(out)
    jobs, captions, fps = _jobs(data, views, frames)
    first = DatasetClips.open(data[0], views=views)[0]
    height, width = first.clip.images[views[0]].shape[1:3]
    shape = (len(captions), frames, len(views), height, width)
    out.mkdir(parents=True, exist_ok=True)
    new = np.lib.format.open_memmap
    new(out / "images.npy", "w+", np.uint8, (*shape, 3)).flush()
    new(out / "depth.npy", "w+", np.uint16, shape).flush()
    new(out / "state.npy", "w+", np.float32, (shape[0], frames, first.state.shape[1])).flush()
    done = 0
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=end_with_parent) as pool:
        for written in pool.map(_pack, [(out, tuple(views), frames, job) for job in jobs]):
            done += written
            if progress is not None:
                progress(done, len(captions))
    atomic_write_text(out / INDEX, encode(CorpusIndex(cut=cut, fps=fps, captions=tuple(captions))))
    return Corpus.load(out)


def _jobs(data: Sequence[Path], views: Sequence[str], frames: int) -> tuple[list[Any], list[str], float]:
    """Parts (dataset, [(episode, first clip)]), all captions, and the rate."""
    jobs: list[Any] = []
    captions: list[str] = []
    rates = set()
    for path in data:
        dataset = DatasetClips.open(path, views=views)
        rates.add(float(dataset.meta.fps))
        part: list[tuple[int, int]] = []
        for episode, length in enumerate(dataset.meta.episodes["length"]):
            if length < frames:
                continue
            part.append((episode, len(captions)))
            captions += [dataset.caption(episode)] * (length // frames)
            if len(part) == _PART:
                jobs.append((path, part))
                part = []
        jobs += [(path, part)] if part else []
    if not captions or len(rates) > 1:
        raise EmmaError(
            "no clips to train on",
            found=f"{len(captions)} clips of {frames} frames, rates {sorted(rates)}",
            expected="episodes at least that long, all of one rate",
        )
    return jobs, captions, rates.pop()


def _pack(job: tuple[Path, tuple[str, ...], int, tuple[Path, list[tuple[int, int]]]]) -> int:
    out, views, frames, (path, part) = job
    arrays = {name: np.load(out / f"{name}.npy", mmap_mode="r+") for name in ("images", "depth", "state")}
    dataset = DatasetClips.open(path, views=views)
    written = 0
    for number, first in part:
        episode = dataset[number]
        clip = episode.clip
        size = clip.images[views[0]].shape[1:3]
        if size != arrays["images"].shape[3:5] or set(clip.depth) != set(views):
            raise EmmaError(
                f"episode {number} of {path} does not fit the others",
                found=f"{size}, depth of {', '.join(clip.depth) or 'no view'}",
                expected=f"{arrays['images'].shape[3:5]}, depth of {', '.join(views)}",
            )
        for clips in range(len(clip) // frames):
            span = slice(clips * frames, (clips + 1) * frames)
            for view, name in enumerate(views):
                arrays["images"][first + clips, :, view] = clip.images[name][span]
                arrays["depth"][first + clips, :, view] = clip.depth[name][span]
            arrays["state"][first + clips] = episode.state[span]
            written += 1
    return written
