"""`python -m emma.ros.load.review`: how long a large dataset takes from a click to its first picture."""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np

from emma.console.app import Console
from emma.console.config import ConsoleConfig
from emma.console.server import serving
from emma.datasets.writer import DatasetWriter
from emma.files import atomic_write_text
from emma.observation import Observation
from emma.robots.spec import load_robot
from emma.ros.load.viewers import session

# Openings that are timed, each of another episode, after one that warms up.
OPENINGS = 15
FRAMES = 4


def main(argv: list[str] | None = None) -> int:
    """Write a dataset into the folder, serve it, open it again and again, and write how long that took."""
    parser = argparse.ArgumentParser(prog="python -m emma.ros.load.review", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="empty, for the dataset")
    parser.add_argument("--episodes", type=int, required=True, help="of the dataset")
    parser.add_argument("--seed", type=int, default=0, help="of its pictures")
    parser.add_argument("--port", type=int, required=True, help="of the console")
    parser.add_argument("--json", type=Path, required=True, help="file for the figures")
    args = parser.parse_args(argv)
    write_dataset(args.folder / "many", args.episodes, FRAMES, args.seed)
    config = ConsoleConfig(port=args.port, folders=(args.folder,))
    with serving(Console(config).asgi, config):
        url = config.url.rstrip("/")
        reader = _Reader(url, session(url))
        times = [reader.open(number) for number in range(OPENINGS + 1)][1:]
    found = {"first_picture_s": statistics.median(times), "first_picture_max_s": max(times), "episodes": reader.count}
    atomic_write_text(args.json, json.dumps(found, indent=2) + "\n")
    return 0


def write_dataset(root: Path, episodes: int, frames: int, seed: int) -> None:
    """Episodes of the desk arm with two cameras of its own size and pictures of noise."""
    spec, random = load_robot(), np.random.default_rng(seed)
    pictures = {
        name: random.integers(0, 255, (spec.camera(name).height, spec.camera(name).width, 3)).astype(np.uint8)
        for name in ("top", "wrist")
    }
    middle = np.array([(joint.lower + joint.upper) / 2 for joint in spec.joints], np.float32)
    rows = [
        (Observation(stamp_ns=i, state=middle + np.float32(1e-3 * i), images=pictures, depth={}), middle)
        for i in range(frames)
    ]
    with DatasetWriter(root, spec, cameras=tuple(pictures), depth=False) as writer:
        for number in range(episodes):
            writer.add_episode(rows, f"task {number % 10}", {"episode_id": f"e{number}", "success": True})


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
