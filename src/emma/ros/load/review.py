"""`python -m emma.ros.load.review`: how long a large dataset takes from a click to its first picture."""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from emma.console.app import Console
from emma.console.config import ConsoleConfig
from emma.console.server import serving
from emma.files import atomic_write_text
from emma.ros.load.viewers import session

# Openings that are timed, each of another episode, after one that warms up.
OPENINGS = 15


def main(argv: list[str] | None = None) -> int:
    """Serve the folder, open the dataset again and again, and write how long that took."""
    parser = argparse.ArgumentParser(prog="python -m emma.ros.load.review", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="has one dataset")
    parser.add_argument("--port", type=int, required=True, help="of the console")
    parser.add_argument("--json", type=Path, required=True, help="file for the figures")
    args = parser.parse_args(argv)
    config = ConsoleConfig(port=args.port, folders=(args.folder,))
    with serving(Console(config).asgi, config):
        url = config.url.rstrip("/")
        reader = _Reader(url, session(url))
        times = [reader.open(number) for number in range(OPENINGS + 1)][1:]
    found = {"first_picture_s": statistics.median(times), "first_picture_max_s": max(times), "episodes": reader.count}
    atomic_write_text(args.json, json.dumps(found, indent=2) + "\n")
    return 0


class _Reader:
    """Asks for what the page asks for when a dataset and an episode are chosen."""

    def __init__(self, url: str, cookie: str) -> None:
        self._url, self._headers, self.count = url, {"Cookie": cookie}, 0

    def open(self, number: int) -> float:
        """Seconds from the list of recordings to the first picture of every camera of one episode."""
        began = time.monotonic()
        (source,) = (one for one in self._json("/api/library") if one["kind"] == "dataset")
        base = f"/api/library/{source['id']}/episodes"
        rows = self._json(base)
        self.count = len(rows)
        episode = rows[number * self.count // (OPENINGS + 1)]["id"]
        for camera in self._json(f"{base}/{episode}")["cameras"]:
            assert self._bytes(f"{base}/{episode}/frames/{camera}/0")
        return time.monotonic() - began

    def _json(self, path: str) -> Any:
        return json.loads(self._bytes(path))

    def _bytes(self, path: str) -> bytes:
        with urlopen(Request(self._url + path, headers=self._headers), timeout=60.0) as answer:
            data: bytes = answer.read()
        return data


if __name__ == "__main__":
    sys.exit(main())
