"""How fast the load may become before something is lost: for a bare subscriber, and for the recorder."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emma.bench.load import tally_bag
from emma.nodes.load.rig import Rig, Sent

# A busy machine may fail a step once.
TRIES = 2


@dataclass(frozen=True, kw_only=True)
class Step:
    """One rate tried: how fast it was sent, and how many messages did not come."""

    factor: float
    mb_per_s: float
    sent: int
    missing: int
    late_s: float


def subscriber_steps(rig: Rig, factors: Sequence[float], seconds: float) -> list[Step]:
    """Faster and faster until the bare counter misses messages."""

    def play(factor: float) -> tuple[Sent, int]:
        rig.client.trigger("/counter/reset")
        sent = rig.play(factor, seconds)
        received: dict[str, int] = rig.client.heard("/counter/state")["received"]
        return sent, sent.total - sum(received.values())

    with rig.counter():
        return list(_steps(factors, play))


def recorder_steps(rig: Rig, bags: Path, factors: Sequence[float], seconds: float) -> list[Step]:
    """Faster and faster until a bag misses messages. The bags are deleted."""
    with rig.recorder(bags) as recorder:

        def play(factor: float) -> tuple[Sent, int]:
            folder = recorder.start()
            sent = rig.play(factor, seconds)
            recorder.save()
            with deleted(folder):
                return sent, tally_bag(folder).missing(sent.sent)

        return list(_steps(factors, play))


def lossless(steps: Sequence[Step]) -> float:
    """The highest rate without loss, in MB/s as sent; 0 if there is none."""
    return max((step.mb_per_s for step in steps if step.missing == 0), default=0.0)


def rows(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """The steps as plain values."""
    return [asdict(step) for step in steps]


@contextmanager
def deleted(folder: Path) -> Iterator[None]:
    """Delete `folder` afterwards."""
    try:
        yield
    finally:
        shutil.rmtree(folder)


def _steps(factors: Sequence[float], play: Callable[[float], tuple[Sent, int]]) -> Iterator[Step]:
    for factor in factors:
        for _ in range(TRIES):
            sent, missing = play(factor)
            yield Step(factor=factor, mb_per_s=sent.mb_per_s, sent=sent.total, missing=missing, late_s=sent.late_s)
            if missing == 0:
                break
        else:
            return
