"""What is sent to a viewer: a recording frame by frame, or a running robot as it is."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from emma.bags.episode import is_episode
from emma.console.clips import BagClip, Clip, DatasetClip
from emma.console.live import Live
from emma.console.tiles import encode
from emma.datasets.files import dataset_root
from emma.datasets.source import SourceDataset
from emma.errors import EmmaError
from emma.view.sink import COMMAND, STATE, Sink

NS = 1_000_000_000
# How often a running robot is looked at: above the rate of its cameras.
LOOK_S = 0.02


def open_recording(path: Path, episode: int) -> Clip:
    """A bag, or an episode of a dataset. Raises EmmaError if it is neither."""
    if not path.exists():
        raise EmmaError("no such recording", found=path, expected="the folder of a bag or of a LeRobotDataset")
    if (path / "meta" / "info.json").is_file():
        source = SourceDataset.open(dataset_root(path))
        if not 0 <= episode < len(source):
            raise EmmaError("no such episode", found=episode, expected=f"0 to {len(source) - 1}")
        return DatasetClip(source, episode)
    if not is_episode(path) and not any([*path.glob("*.mcap"), *path.glob("*.db3")]):
        raise EmmaError("not a recording", found=path, expected="the folder of a bag or of a LeRobotDataset")
    return BagClip(path)


def play(clip: Clip, sink: Sink, *, pace: Callable[[float], None] = lambda _seconds: None) -> int:
    """Send a recording, stamped from now on; returns how many frames were sent. The sink stays open.

    pace(seconds since the first frame) waits for the moment of a frame.
    """
    about = clip.about()
    curves, fps, start = about["curves"], about["fps"], time.time_ns()
    sink.words(start, about["instruction"])
    rows = {STATE: _rows(curves["t"], curves["state"]), COMMAND: _rows(curves["t_action"], curves["action"])}
    sent = dict.fromkeys(rows, 0)
    for frame in range(about["frames"]):
        now = frame / fps
        pace(now)
        for kind, (times, values) in rows.items():
            while sent[kind] < len(times) and times[sent[kind]] <= now:
                at = sent[kind]
                sink.joints(kind, start + round(times[at] * NS), values[at])
                sent[kind] += 1
        for camera in about["cameras"]:
            picture = clip.picture(camera, frame)
            sink.picture(camera, start + round(now * NS), picture.data, picture.kind)
    return int(about["frames"])


def follow(live: Live, sink: Sink, ended: Callable[[float], bool]) -> None:
    """Send what a running robot shows, newest only, until `ended(seconds to wait)` is true. The sink stays open."""
    numbers: dict[str, int] = {}
    said, chunk = "", 0.0
    for camera in live.cameras:
        live.watch(camera, True)
    try:
        while not ended(LOOK_S):
            for camera in live.cameras:
                seen = live.picture(camera)
                if seen is not None and seen[0] != numbers.get(camera):
                    number, stamp_ns, pixels = live.decode(camera)
                    numbers[camera] = number
                    sink.picture(camera, stamp_ns, encode(pixels), "image/jpeg")
            state, now = live.state(), time.time_ns()
            for kind, key in ((STATE, "joints"), (COMMAND, "command")):
                if state.get(key) is not None:
                    sink.joints(kind, now, state[key])
            ahead = state.get("ahead")
            if ahead is not None and ahead["begin_s"] != chunk:
                chunk = ahead["begin_s"]
                sink.chunk([round((chunk + at) * NS) for at in ahead["at_s"]], np.array(ahead["positions"]))
            text = " ".join(str(state.get(key) or "") for key in ("word", "why")).strip()
            if text != said:
                said = text
                sink.words(now, text)
    finally:
        for camera in live.cameras:
            live.watch(camera, False)


def _rows(times: list[float], columns: list[list[float]]) -> tuple[list[float], Any]:
    """Curves by joint as rows by moment."""
    return times, np.array(columns, np.float64).reshape(len(columns), -1).T
