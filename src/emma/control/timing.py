"""Where the time goes: sections of a loop on the monotonic clock, as percentiles over a sliding window."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

PERCENTILES = (50, 95, 99)


class Timings:
    """Durations and latenesses by section name, in milliseconds. Thread-safe."""

    def __init__(self, window: int = 3000) -> None:
        self._window = window
        self._lock = threading.Lock()
        self._samples: dict[str, deque[float]] = {}
        self._counts: dict[str, int] = {}

    def add(self, section: str, milliseconds: float) -> None:
        with self._lock:
            self._samples.setdefault(section, deque(maxlen=self._window)).append(milliseconds)

    def count(self, name: str, by: int = 1) -> None:
        """Count an event, such as an overrun."""
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + by

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Time the block as one sample of `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, (time.perf_counter() - start) * 1e3)

    def summary(self) -> dict[str, float]:
        """`<section>_p50_ms`, `_p95_ms`, `_p99_ms`, `_max_ms` for every section, and every count by its name."""
        with self._lock:
            samples = {name: np.array(values) for name, values in self._samples.items() if values}
            counts: dict[str, float] = dict(self._counts)
        for name, values in samples.items():
            for p, value in zip(PERCENTILES, np.percentile(values, PERCENTILES), strict=True):
                counts[f"{name}_p{p}_ms"] = round(float(value), 3)
            counts[f"{name}_max_ms"] = round(float(values.max()), 3)
        return counts

    def clear(self) -> None:
        with self._lock:
            self._samples.clear()
            self._counts.clear()
