"""How fast the load may become before something is lost: for a bare subscriber, and for the recorder."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emma.bench.load import tally_bag
from emma.ros.load.rig import RecorderUnderLoad, Rig, Sent
from emma.ros.load.states import COUNTER_STATE

# A busy machine may fail a step once.
TRIES = 2
# Shares of the disk's own speed that a recorder is asked to hold, highest first.
SHARES = (0.97, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One run of the load: what was sent, and how many messages did not come.

    Of a recorder: dropped, those that came but found its queue full; lost, those that the middleware never delivered,
    as the recorder itself knows; and the most that its queue held.
    """

    sent: Sent
    missing: int
    dropped: int | None = None
    lost: int | None = None
    queue_peak_mb: float | None = None


# Sends the load so many times as fast for so many seconds.
Play = Callable[[float, float], Outcome]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One rate tried for so long: how fast it was sent, and how many messages did not come (see Outcome)."""

    factor: float
    seconds: float
    mb_per_s: float
    sent: int
    missing: int
    late_s: float
    skipped: int
    dropped: int | None = None
    lost: int | None = None
    queue_peak_mb: float | None = None
    limit_mb_per_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """Every rate tried, and the highest in MB/s (as sent) that lost nothing for as long as it had to; 0 if none.

    limit_mb_per_s: what was found to be possible at all, just before that step.
    """

    mb_per_s: float
    steps: tuple[Step, ...]
    limit_mb_per_s: float | None = None

    def rows(self) -> list[dict[str, Any]]:
        """The steps as plain values."""
        return [asdict(step) for step in self.steps]


def subscriber_play(rig: Rig) -> Play:
    """What the bare counter, which runs already, misses."""

    def play(factor: float, seconds: float) -> Outcome:
        rig.client.trigger("/counter/reset")
        sent = rig.play(factor, seconds)
        counted = rig.client.heard(COUNTER_STATE)
        return Outcome(sent=sent, missing=sent.total - sum(counted.received.values() if counted else ()))

    return play


def recorder_play(rig: Rig, recorder: RecorderUnderLoad) -> Play:
    """What the recorder's bag lacks. The bag is deleted."""

    def play(factor: float, seconds: float) -> Outcome:
        folder = recorder.start()
        sent = rig.play(factor, seconds)
        peak = recorder.state().queue_peak_bytes / 1e6
        said = recorder.save()
        with deleted(folder):
            missing = tally_bag(folder).missing(sent.sent)
        return Outcome(sent=sent, missing=missing, dropped=said.dropped, lost=said.lost, queue_peak_mb=peak)

    return play


def ceiling(play: Play, factors: Sequence[float], probe_s: float, sustained_s: float) -> Ceiling:
    """Faster and faster in short probes until something is lost, then down again until nothing is for `sustained_s`.

    `sustained_s` 0: what the probes say.
    """
    steps: list[Step] = []
    good: list[float] = []
    for factor in factors:
        steps += _tries(play, factor, probe_s)
        if steps[-1].missing:
            break
        good.append(factor)
    if not sustained_s:
        held = [step for step in steps if not step.missing]
        return Ceiling(mb_per_s=max((step.mb_per_s for step in held), default=0.0), steps=tuple(steps))
    for factor in reversed(good):
        steps += _tries(play, factor, sustained_s)
        if not steps[-1].missing:
            return Ceiling(mb_per_s=steps[-1].mb_per_s, steps=tuple(steps))
    return Ceiling(mb_per_s=0.0, steps=tuple(steps))


def sustained(play: Play, limit: Callable[[], float], unit_mb_per_s: float, seconds: float) -> Ceiling:
    """The highest of SHARES of a `limit` in MB/s, measured anew before each try, that loses nothing for `seconds`.

    unit_mb_per_s: the load at factor 1. Anew, because a disk is not the same from minute to minute.
    """
    steps: list[Step] = []
    for share in SHARES:
        for _ in range(TRIES):
            # Whatever was written before is on the disk: every try begins alike.
            os.sync()
            most = limit()
            os.sync()
            steps.append(_step(play, share * most / unit_mb_per_s, seconds, most))
            if not steps[-1].missing:
                return Ceiling(mb_per_s=steps[-1].mb_per_s, steps=tuple(steps), limit_mb_per_s=most)
    return Ceiling(mb_per_s=0.0, steps=tuple(steps))


@contextmanager
def deleted(folder: Path) -> Iterator[None]:
    """Delete `folder` afterwards."""
    try:
        yield
    finally:
        shutil.rmtree(folder)


def _tries(play: Play, factor: float, seconds: float) -> Iterator[Step]:
    for _ in range(TRIES):
        step = _step(play, factor, seconds)
        yield step
        if step.missing == 0:
            return


def _step(play: Play, factor: float, seconds: float, limit_mb_per_s: float | None = None) -> Step:
    found = play(factor, seconds)
    return Step(
        factor=factor,
        seconds=seconds,
        mb_per_s=found.sent.mb_per_s,
        sent=found.sent.total,
        missing=found.missing,
        late_s=found.sent.late_s,
        skipped=found.sent.skipped,
        dropped=found.dropped,
        lost=found.lost,
        queue_peak_mb=found.queue_peak_mb,
        limit_mb_per_s=limit_mb_per_s,
    )
