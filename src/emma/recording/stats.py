"""What a recorder may use, and what it says about itself."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emma.bags.mcap_writer import CHUNK_AGE_S, CHUNK_BYTES
from emma.errors import EmmaError


@dataclass(frozen=True, kw_only=True)
class RecorderConfig:
    """How much memory a recorder may hold and what it does to the disk.

    queue_bytes: memory between the topics and the disk; at 138 MB/s 256 MiB bridge two seconds of a stalled disk.
    sync_s: how often written data is forced to the disk: what a power cut can cost. A killed process loses only the
    chunk in memory, at most chunk_bytes or chunk_age_s. direct: past the page cache where the disk can, until 3/4 of
    the queue is full; then the cache's memory takes the burst, too. min_free_bytes: recording stops before the disk is
    full, so that what was recorded can be finished.
    """

    queue_bytes: int = 256 << 20
    queue_messages: int = 50_000
    compress: bool = False
    checksum: bool = True
    chunk_bytes: int = CHUNK_BYTES
    chunk_age_s: float = CHUNK_AGE_S
    sync_s: float = 1.0
    direct: bool = True
    min_free_bytes: int = 256 << 20

    def __post_init__(self) -> None:
        for name in ("queue_bytes", "queue_messages", "chunk_bytes", "chunk_age_s", "sync_s"):
            if getattr(self, name) <= 0:
                raise EmmaError(f"bad value for {name}", found=getattr(self, name), expected="a number above 0")


@dataclass(frozen=True, kw_only=True)
class RecorderStats:
    """What a recorder does right now. dropped: received messages that are not and will not be in the bag."""

    state: str = "idle"
    episode: str = ""
    seconds: float = 0.0
    received: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    written_bytes: int = 0
    mb_per_s: float = 0.0
    queue_bytes: int = 0
    queue_peak_bytes: int = 0
    free_bytes: int = 0
    error: str = ""

    @property
    def minutes_left(self) -> float:
        """Until the disk is full at the present rate; infinity while nothing is written."""
        return self.free_bytes / (self.mb_per_s * 60e6) if self.mb_per_s else float("inf")

    def __str__(self) -> str:
        if self.state == "idle":
            return f"idle, {self.free_bytes / 1e9:.1f} GB free"
        dropped = sum(self.dropped.values())
        parts = [
            f"{self.state} {self.episode} {self.seconds:.1f} s",
            f"{sum(self.received.values())} messages",
            f"{self.mb_per_s:.1f} MB/s",
            f"queue {self.queue_bytes / 1e6:.0f} MB",
            f"{self.minutes_left:.0f} min left" if self.mb_per_s else f"{self.free_bytes / 1e9:.1f} GB free",
        ]
        return ", ".join(parts + ([f"{dropped} DROPPED"] if dropped else []) + ([self.error] if self.error else []))


def free_bytes(folder: Path) -> int:
    """Bytes a normal user may still write on the disk of `folder`; 0 if the disk does not answer."""
    try:
        status = os.statvfs(folder)
    except OSError:
        return 0
    return status.f_bavail * status.f_frsize
