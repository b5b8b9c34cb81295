"""Latents of a whole corpus, computed once: training the transformer then never runs the autoencoder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
from diffusers import AutoencoderDC

from emma import records
from emma.dreamtransfer.corpus import Corpus
from emma.dreamtransfer.training.autoencoder import encode
from emma.files import atomic_write_text

DATA: Final = "latents.npy"
INDEX: Final = "latents.json"
# Clips encoded at a time, and clips from which mean and spread are taken.
_AT_ONCE: Final = 4
_SAMPLE: Final = 64


@dataclass(frozen=True, kw_only=True)
class Latents:
    """values: (N, T, V, C, h, w) float16, normalised by mean and std (C,)."""

    values: np.ndarray
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Beside the latents: how many clips are done, with mean and spread by channel."""

    VERSION: ClassVar[int] = 1
    done: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def encode_corpus(
    model: AutoencoderDC,
    corpus: Corpus,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
    scale: tuple[Sequence[float], Sequence[float]] | None = None,
) -> Latents:
    """Encode every picture, or go on where an earlier call was stopped. The folder belongs to one autoencoder.

    scale: mean and spread per channel to normalise by; left out, those of a sample of the corpus.
    """
    total = len(corpus)
    clips, frames, views, height, width = corpus.images.shape[:5]
    file = folder / INDEX
    index = records.decode(Encoded, file.read_bytes(), str(file)) if file.is_file() else Encoded()
    if not index.done:
        some = corpus.images[:: max(1, total // _SAMPLE), 0].reshape(-1, height, width, 3)
        latents = encode(model, np.ascontiguousarray(some))
        mean, std = scale or (latents.mean((0, 2, 3)).tolist(), latents.std((0, 2, 3)).tolist())
        index = Encoded(mean=tuple(mean), std=tuple(std))
        shape = (clips, frames, views, *latents.shape[1:])
        np.lib.format.open_memmap(folder / DATA, "w+", np.float16, shape).flush()
        atomic_write_text(file, records.encode(index))
    values = np.load(folder / DATA, mmap_mode="r+")
    shift, spread = (np.array(of, np.float32)[:, None, None] for of in (index.mean, index.std))
    for start in range(index.done, total, _AT_ONCE):
        images = np.ascontiguousarray(corpus.images[start : start + _AT_ONCE]).reshape(-1, height, width, 3)
        values[start : start + _AT_ONCE] = ((encode(model, images) - shift) / spread).reshape(-1, *values.shape[1:])
        index = replace(index, done=min(total, start + _AT_ONCE))
        if start // _AT_ONCE % 100 == 0 or index.done == total:
            values.flush()
            atomic_write_text(file, records.encode(index))
            if progress is not None:
                progress(index.done, total)
    return Latents(values=values, mean=index.mean, std=index.std)
