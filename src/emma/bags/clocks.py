"""Which moment each message of a bag stands for: header stamps, checked against the time of receipt.

A header stamp and the time of receipt are two clocks of one moment. Their difference, the delay, is small and steady if
both run on the machine's time, large and steady if stamps are simulated time, and alike for all streams of one robot.
What contradicts that is refused: frames joined across clocks look plausible and are wrong.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from emma.bags.index import MessageIndex
from emma.errors import EmmaError

NS = 1_000_000_000
# Messages further apart than this in the order of the file are not neighbours in time.
STEP_NS = NS
# The most by which the usual delays of two streams may differ: a camera's pipeline, not another clock.
CLOCKS_APART_S = 1.0
# No message is on its way for longer, and no trajectory is planned further ahead.
BEYOND_REASON_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Moments:
    """The messages of every stream in the order of receipt.

    positions: stream -> positions in the index; stamps_ns: stream -> the moments they stand for; notes: what was
    guessed.
    """

    positions: Mapping[str, np.ndarray]
    stamps_ns: Mapping[str, np.ndarray]
    notes: tuple[str, ...]


def moments(
    index: MessageIndex, streams: Mapping[str, np.ndarray], *, headed: Collection[str], planned: Collection[str]
) -> Moments:
    """The moments of the messages of `streams`: name -> positions in the index, in file order.

    headed: streams whose messages have a header; planned: those whose stamps may lie ahead of their receipt. A message
    without a stamp counts from its receipt, on the clock of the first stream that has stamps. Raises EmmaError for
    clocks that do not belong together and for stamps beyond any reason.
    """
    notes: list[str] = []
    ordered = {stream: _receipt_order(index, found, stream, notes) for stream, found in streams.items()}
    clock = _Clock(index, ordered)
    stamps = {}
    for stream, at in ordered.items():
        stamped, log_ns = index.stamped[at], index.log_ns[at]
        stamps[stream] = np.where(stamped, index.stamp_ns[at], clock.moments_ns(log_ns))
        missing = int((~stamped).sum())
        if missing and stream in headed:
            notes.append(f"{missing} of {len(at)} messages of {stream} have no stamp and count from their receipt")
        if stamped.any():
            clock.check(stream, log_ns[stamped], index.stamp_ns[at][stamped], may_plan=stream in planned)
    return Moments(positions=ordered, stamps_ns=stamps, notes=tuple(notes))


class _Clock:
    """The delay from stamp to receipt over time, of the stream that all others are compared with."""

    def __init__(self, index: MessageIndex, streams: Mapping[str, np.ndarray]) -> None:
        self._name, at = next(
            ((name, at[index.stamped[at]]) for name, at in streams.items() if index.stamped[at].any()),
            ("", np.zeros(0, int)),
        )
        # Without any stamp there is only the time of receipt.
        self._log_ns = index.log_ns[at] if len(at) else np.zeros(1, np.int64)
        delay_ns = self._log_ns - index.stamp_ns[at] if len(at) else np.zeros(1, np.int64)
        # Around its first value, so that nanoseconds survive in floating point.
        self._base_ns, self._drift_ns = int(delay_ns[0]), (delay_ns - delay_ns[0]).astype(float)
        self._simulated = abs(float(np.median(delay_ns))) > CLOCKS_APART_S * NS

    def moments_ns(self, log_ns: np.ndarray) -> np.ndarray:
        """The moments of messages that have only a time of receipt, on the clock of the stamps."""
        return log_ns - self._delay_ns(log_ns) if self._simulated else log_ns

    def check(self, stream: str, log_ns: np.ndarray, stamp_ns: np.ndarray, *, may_plan: bool) -> None:
        delay_s = (log_ns - stamp_ns - self._delay_ns(log_ns)) / NS
        usual = float(np.median(delay_s))
        if usual > CLOCKS_APART_S or usual < -(BEYOND_REASON_S if may_plan else CLOCKS_APART_S):
            raise EmmaError(
                f"{stream} and {self._name} are stamped by different clocks",
                found=f"stamps of {stream} {abs(usual):.3f} s {'behind' if usual > 0 else 'ahead of'} the others",
                expected=f"delays from stamp to receipt that differ by at most {CLOCKS_APART_S:g} s",
                fix="synchronise the machines, or let all drivers use simulated time, and record it again",
            )
        if count := int((np.abs(delay_s) > BEYOND_REASON_S).sum()):
            worst = float(delay_s[np.abs(delay_s).argmax()])
            raise EmmaError(
                f"stamps of {stream} are beyond any reason",
                found=f"{count} of {len(delay_s)} more than {BEYOND_REASON_S:g} s off, up to {abs(worst):.3f} s",
                expected="stamps of the time of the recording",
                fix="check the driver's clock, and record it again",
            )

    def _delay_ns(self, log_ns: np.ndarray) -> np.ndarray:
        # Between messages of the reference: the delay changes with the speed of a simulation.
        first = self._log_ns[0]
        drift = np.interp((log_ns - first).astype(float), (self._log_ns - first).astype(float), self._drift_ns)
        return self._base_ns + drift.astype(np.int64)


def _receipt_order(index: MessageIndex, positions: np.ndarray, stream: str, notes: list[str]) -> np.ndarray:
    """Positions of one topic in the order of receipt.

    Files and chunks may stand in any order. Pieces that follow each other in time are put in order; pieces that overlap
    or leave a gap are what a clock that was set back leaves, and nothing tells their messages apart.
    """
    files, file = np.unique(index.file[positions], return_inverse=True)
    first = [index.log_ns[positions[file == number]].min() for number in range(len(files))]
    positions = (
        positions[np.argsort(np.argsort(first, kind="stable")[file], kind="stable")] if len(files) else positions
    )
    log_ns = index.log_ns[positions]
    if len(log_ns) and (np.maximum.accumulate(log_ns) - log_ns).max() > STEP_NS:
        pieces = np.split(np.arange(len(log_ns)), np.flatnonzero(np.abs(np.diff(log_ns)) > STEP_NS) + 1)
        pieces.sort(key=lambda piece: int(log_ns[piece].min()))
        between = [int(log_ns[b].min() - log_ns[a].max()) for a, b in pairwise(pieces)]
        if min(between) < 0 or max(between) > STEP_NS:
            back = float((np.maximum.accumulate(log_ns) - log_ns).max()) / NS
            raise EmmaError(
                f"the clock of {stream} was set back",
                found=f"by {back:.3f} s",
                expected="times of receipt that grow",
                fix="record it again: nothing tells which message belongs to which moment",
            )
        notes.append(f"messages of {stream} stand in {len(pieces)} pieces out of order, sorted by their receipt")
    return positions[np.argsort(log_ns, kind="stable")]
