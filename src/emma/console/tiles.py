"""Camera tiles: the newest picture of each camera as JPEG, encoded once for all viewers, at the rate they can take."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np

from emma.console.live import Live

QUALITY = 75
# How often a waiting viewer looks for a new picture: well below a camera's period.
LOOK_S = 0.008


@dataclass(frozen=True)
class Tile:
    """One encoded picture. number: counts the pictures of the camera; stamp_ns: its header stamp."""

    number: int
    stamp_ns: int
    jpeg: bytes


def encode(pixels: np.ndarray, quality: int = QUALITY) -> bytes:
    """(H, W, 3) uint8 RGB as JPEG."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"OpenCV cannot encode {pixels.shape}")
    return data.tobytes()


class Tiles:
    """Hands out tiles on the event loop; one thread encodes, so that a busy page never takes more than one core."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._viewers: Counter[str] = Counter()
        self._encoded: dict[str, Tile] = {}
        self._locks = {camera: asyncio.Lock() for camera in live.cameras}
        self._pool = ThreadPoolExecutor(1, "tiles")

    @contextmanager
    def viewer(self, camera: str) -> Iterator[None]:
        """A camera is received only while it has a viewer."""
        self._viewers[camera] += 1
        if self._viewers[camera] == 1:
            self._live.watch(camera, True)
        try:
            yield
        finally:
            self._viewers[camera] -= 1
            if self._viewers[camera] == 0:
                self._live.watch(camera, False)

    async def newest(self, camera: str, after: int) -> Tile:
        """The newest tile, as soon as there is one beyond number `after`."""
        while (seen := self._live.picture(camera)) is None or seen[0] <= after:
            await asyncio.sleep(LOOK_S)
        async with self._locks[camera]:
            ready = self._encoded.get(camera)
            if ready is None or ready.number < seen[0]:
                ready = await asyncio.get_running_loop().run_in_executor(self._pool, self._encode, camera)
                self._encoded[camera] = ready
            return ready

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _encode(self, camera: str) -> Tile:
        number, stamp_ns, pixels = self._live.decode(camera)
        return Tile(number, stamp_ns, encode(pixels))
