"""Pictures of the coming steps, decoded while the current step is computed."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from emma.training.frames import FrameTable

# Pictures that may wait for their step, as bytes of uint8; at least one step's, at most so many steps'.
WAITING_BYTES, WAITING_STEPS = 256 << 20, 8

Pixels = dict[str, np.ndarray]


class Ahead:
    """What each step will need, from a table whose pictures are not all in memory.

    frames: step -> the frames that it draws (B,); what was decoded for other frames than the step finally draws, since
    weights have changed in between, is thrown away. waited_s: how long steps have waited for their pictures.
    """

    def __init__(
        self, table: FrameTable, frames: Callable[[int], np.ndarray], offsets: Sequence[int] | None, last: int
    ) -> None:
        self._table, self._frames, self._offsets, self._last = table, frames, offsets, last
        self._work = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._waiting: dict[int, tuple[np.ndarray, Future[Pixels]]] = {}
        self._depth = 1
        self.waited_s = 0.0

    def take(self, step: int) -> tuple[np.ndarray, Pixels]:
        """The frames of step `step` and their pictures. Raises EmmaError for pictures that cannot be decoded."""
        began = time.perf_counter()
        frames = self._frames(step)
        waiting = self._waiting.pop(step, None)
        if waiting is not None and np.array_equal(waiting[0], frames):
            pixels = waiting[1].result()
        else:
            pixels = self._table.pictures(frames, self._offsets)
        self.waited_s += time.perf_counter() - began
        if not self._table.in_memory:
            size = sum(image.nbytes for image in pixels.values())
            self._depth = min(max(1, WAITING_BYTES // max(1, size)), WAITING_STEPS)
            for coming in range(step + 1, min(step + 1 + self._depth, self._last)):
                if coming not in self._waiting:
                    wanted = self._frames(coming)
                    self._waiting[coming] = (wanted, self._work.submit(self._table.pictures, wanted, self._offsets))
        return frames, pixels

    def close(self) -> None:
        """Give up what waits."""
        self._waiting.clear()
        self._work.shutdown(wait=False, cancel_futures=True)
