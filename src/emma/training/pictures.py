"""Pictures of one camera over all frames: decoded once while they fit in memory, else when they are asked for."""

from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np

from emma.datasets.files import decoded


class Pictures:
    """The first `decoded` frames as pixels, the others as the encoded bytes of the dataset."""

    def __init__(self, shape: tuple[int, int, int], decoded: int, pool: Executor) -> None:
        self._pool = pool
        # The system gives memory as it is written to.
        self._pixels = np.empty((decoded, *shape), np.uint8)
        self._encoded: list[bytes] = []
        self._filled = 0

    def extend(self, encoded: Sequence[bytes]) -> None:
        """Append frames, PNG or JPEG."""
        room = len(self._pixels) - self._filled
        for image in self._pool.map(decoded, encoded[:room], chunksize=64):
            self._pixels[self._filled] = image
            self._filled += 1
        self._encoded += encoded[room:]

    def __getitem__(self, at: np.ndarray) -> np.ndarray:
        """(B, H, W, 3) uint8 RGB of frames `at` (B,)."""
        if not self._encoded:
            return self._pixels[at]
        images = np.empty((len(at), *self._pixels.shape[1:]), np.uint8)
        ready = at < self._filled
        images[ready] = self._pixels[at[ready]]
        late = np.flatnonzero(~ready)
        encoded = [self._encoded[int(at[i]) - self._filled] for i in late]
        for i, image in zip(late, self._pool.map(decoded, encoded), strict=True):
            images[i] = image
        return images
