"""The newest messages of one stream, in the order of their stamps."""

from bisect import bisect_right, insort
from collections.abc import Iterator
from typing import Any

import numpy as np

from emma.errors import EmmaError

# A stamp this much older than its stream's newest one is a clock set back, not a late message.
CLOCK_JUMP_NS = 1_000_000_000
# Bounds the memory of streams that are faster than any known: 1 s at 20 kHz.
SAMPLES = 20_000

# A robot with several topics of states or commands has a stream for each: `state`, then `state:/right/joint_states`.
STATE = "state"
COMMAND = "command"


def is_state(stream: str) -> bool:
    """Whether a stream tells joint states."""
    return stream == STATE or stream.startswith(f"{STATE}:")


def is_command(stream: str) -> bool:
    """Whether a stream tells commands."""
    return stream == COMMAND or stream.startswith(f"{COMMAND}:")


class Sample:
    """One message of a stream, or what was already made of it. stamp_ns: what the sensor says; value: decoded, an
    EmmaError if that failed, None if it is decoded when it is asked for."""

    __slots__ = ("message", "order", "stamp_ns", "value")

    def __init__(self, stamp_ns: int, order: int, message: Any = None, value: np.ndarray | EmmaError | None = None):
        self.stamp_ns, self.order, self.message, self.value = stamp_ns, order, message, value

    def __lt__(self, other: "Sample") -> bool:
        # Arrival order among equal stamps.
        return (self.stamp_ns, self.order) < (other.stamp_ns, other.order)


class Stream:
    """The samples of the last `span_ns` in stamp order, whatever order they arrived in; at most `limit` of them."""

    def __init__(self, span_ns: int, limit: int = SAMPLES) -> None:
        self._span_ns, self._limit = span_ns, limit
        self._samples: list[Sample] = []
        self._count = 0

    def push(self, stamp_ns: int, message: Any = None, *, value: np.ndarray | EmmaError | None = None) -> None:
        samples = self._samples
        if samples and stamp_ns < samples[-1].stamp_ns - CLOCK_JUMP_NS:
            # The clock was set back: samples "from the future" would hide every new one.
            samples.clear()
        insort(samples, Sample(stamp_ns, self._count, message, value))
        self._count += 1
        # One sample from before the span stays: it is the latest for the moments up to the next.
        first = bisect_right(samples, samples[-1].stamp_ns - self._span_ns, key=_stamp) - 1
        del samples[: max(first, len(samples) - self._limit, 0)]

    def at(self, t_ns: int) -> Sample | None:
        """The latest sample not newer than `t_ns`, or None."""
        i = bisect_right(self._samples, t_ns, key=_stamp)
        return self._samples[i - 1] if i else None

    def until(self, t_ns: int) -> Iterator[Sample]:
        """All samples not newer than `t_ns`, the newest first."""
        for i in range(bisect_right(self._samples, t_ns, key=_stamp) - 1, -1, -1):
            yield self._samples[i]

    @property
    def newest_ns(self) -> int | None:
        return self._samples[-1].stamp_ns if self._samples else None

    def clear(self) -> None:
        self._samples.clear()


def _stamp(sample: Sample) -> int:
    return sample.stamp_ns
