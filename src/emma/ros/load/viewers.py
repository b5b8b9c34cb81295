"""`python -m emma.ros.load.viewers`: pages that receive and confirm every stream as a browser does, without drawing.

Each viewer has a session, the socket of the state and one of every camera. Latency counts from a picture's header stamp
to the moment at which its bytes are here; both clocks are this machine's.
"""

import argparse
import asyncio
import json
import os
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
from websockets.asyncio.client import connect
from websockets.typing import Origin

from emma.console.guard import WRITE_HEADER
from emma.console.sockets import ACK, TILE_HEADER
from emma.files import atomic_write_text

LARGE = 16 << 20


@dataclass
class Seen:
    """What one stream brought: bytes, and for pictures their latencies in ms."""

    bytes: int = 0
    latency_ms: list[float] = field(default_factory=list)


def main(argv: list[str] | None = None) -> int:
    """Watch for so long, then write what came."""
    parser = argparse.ArgumentParser(prog="python -m emma.ros.load.viewers", description=__doc__)
    parser.add_argument("--url", required=True, help="address of the console")
    parser.add_argument("--cameras", nargs="+", required=True, help="whose tiles are shown")
    parser.add_argument("--viewers", type=int, required=True, help="how many pages are open")
    parser.add_argument("--seconds", type=float, required=True, help="how long they stay open")
    parser.add_argument("--json", type=Path, required=True, help="file for the figures")
    args = parser.parse_args(argv)
    use_other_cores()
    found = asyncio.run(watch(args.url, args.cameras, args.viewers, args.seconds))
    atomic_write_text(args.json, json.dumps(found, indent=2) + "\n")
    return 0


def use_other_cores() -> None:
    """A browser runs on another machine: where this one has more cores than are being measured, use those."""
    others = set(range(os.cpu_count() or 1)) - os.sched_getaffinity(0)
    if others:
        os.sched_setaffinity(0, others)


async def watch(url: str, cameras: Sequence[str], viewers: int, seconds: float) -> dict[str, float]:
    """Open `viewers` pages for `seconds`. Figures: latency of the pictures in ms, MB/s and pictures a second of one."""
    streams = [
        Stream(url, cookie, path)
        for cookie in [await asyncio.to_thread(session, url) for _ in range(viewers)]
        for path in ("/ws/state", *(f"/ws/camera/{camera}" for camera in cameras))
    ]
    began = time.monotonic()
    seen = await asyncio.gather(*(stream.run(seconds) for stream in streams))
    took = time.monotonic() - began
    latency = np.array([value for one in seen for value in one.latency_ms])
    if not len(latency):
        return {"pictures": 0}
    return {
        "pictures": len(latency),
        "latency_p50_ms": float(np.percentile(latency, 50)),
        "latency_p95_ms": float(np.percentile(latency, 95)),
        "tile_hz": len(latency) / took / viewers / len(cameras),
        "viewer_mb_s": sum(one.bytes for one in seen) / took / viewers / 1e6,
    }


def session(url: str) -> str:
    """The cookie of a new session."""
    asked = Request(f"{url}/api/session", data=b"{}", method="POST", headers={WRITE_HEADER: "1", "Origin": url})
    with urlopen(asked, timeout=30.0) as answer:
        return str(answer.headers["set-cookie"]).partition(";")[0]


class Stream:
    """One socket of a page."""

    def __init__(self, url: str, cookie: str, path: str) -> None:
        self._url, self._cookie, self._path = url, cookie, path

    async def run(self, seconds: float) -> Seen:
        """Receive and confirm until the time is up."""
        found = Seen()
        address, headers = self._url.replace("http", "ws", 1) + self._path, {"Cookie": self._cookie}
        async with connect(
            address, origin=Origin(self._url), additional_headers=headers, proxy=None, max_size=LARGE, compression=None
        ) as socket:
            try:
                async with asyncio.timeout(seconds):
                    while True:
                        self._take(await socket.recv(), found)
                        await socket.send(ACK)
            except TimeoutError:
                return found

    def _take(self, message: str | bytes, found: Seen) -> None:
        found.bytes += len(message)
        if isinstance(message, bytes):
            try:
                stamp_ns, _ = TILE_HEADER.unpack_from(message)
            except struct.error:
                return
            found.latency_ms.append((time.time_ns() - stamp_ns) / 1e6)


if __name__ == "__main__":
    sys.exit(main())
