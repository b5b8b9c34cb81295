"""Observations to compare a policy's graphs on: frames of the recordings, each with its own instruction."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emma.observation import Observation
from emma.policy.bundle import Bundle
from emma.policy.export.parity import Case
from emma.training.frames import FrameTable, open_source


def recorded_cases(datasets: Sequence[Path], bundle: Bundle, count: int, seed: int) -> list[Case]:
    """`count` frames at random from all datasets together, fewer if there are not as many."""
    cameras = bundle.info.cameras
    # Nothing is decoded in advance for a handful of frames.
    table = FrameTable([open_source(path) for path in datasets], cameras, memory_bytes=0)
    chosen = np.random.default_rng(seed).choice(len(table), min(count, len(table)), replace=False)
    return [observed(table, int(i)) for i in np.sort(chosen)]


def observed(table: FrameTable, frame: int) -> Case:
    """Frame `frame` of a table as a policy gets it."""
    at = np.array([frame])
    images = {camera: np.ascontiguousarray(table.pixels(camera, at)[0]) for camera in table.cameras}
    return Case(Observation(stamp_ns=0, state=table.states[frame].numpy(), images=images), table.tasks[frame])
