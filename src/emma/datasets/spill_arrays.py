"""Arrays that may be larger than the memory: those that are live on the disk, in a file without a name."""

import tempfile
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from emma.arrays import Array

# Arrays up to this size are ordinary ones, bytes.
ORDINARY: Final = 256 << 20


def empty(shape: Sequence[int], dtype: npt.DTypeLike, ordinary: int = ORDINARY) -> Array:
    """Zeros; above `ordinary` bytes in a mapped temporary file (TMPDIR), which is gone with the array."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size <= ordinary:
        return np.zeros(shape, dtype)
    # The map keeps the unlinked file; the memory that it takes can be had back at any time.
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=tuple(shape))


def stacked(images: Iterable[Array], length: int, ordinary: int = ORDINARY) -> Array:
    """`np.stack` of `length` arrays alike, which need not be there at the same time. ValueError if they differ."""
    out: Array | None = None
    count = 0
    for count, image in enumerate(images, start=1):
        if out is None:
            out = empty((length, *image.shape), image.dtype, ordinary)
        if image.shape != out.shape[1:] or count > length:
            raise ValueError(f"picture {count} of {length} is {image.shape}, not {out.shape[1:]}")
        out[count - 1] = image
    if out is None or count != length:
        raise ValueError(f"{count} pictures, not {length}")
    return out
