"""Damaged datasets: validated, loaded as a training and an augmentation load them, and compared with the whole one."""

import shutil
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np

from emma.bench.inputs.families import Attempt, Family, damage_file
from emma.bench.inputs.robot import NAMES, robot
from emma.datasets.source import SourceDataset
from emma.datasets.validate import validate
from emma.datasets.writer import DatasetWriter
from emma.errors import EmmaError
from emma.observation import Observation
from emma.robots.spec import Camera
from emma.training.frames import FrameTable, open_source

EPISODES, FRAMES = 2, 8
# The smallest picture that every encoder takes.
SIDE = 64
NO_CHECKSUMS = "no checksums"


class Truth(NamedTuple):
    """What a training sees of the whole dataset."""

    states: np.ndarray
    actions: np.ndarray
    tasks: list[str]
    pixels: np.ndarray
    stats: dict[str, np.ndarray]
    about: tuple[object, ...]


def _prepare(video: bool, folder: Path) -> Truth:
    camera = Camera(name="top", image_topic="/top/image", width=SIDE, height=SIDE, rate_hz=10)
    spec = robot(cameras=(camera,))
    random = np.random.default_rng(0)
    with DatasetWriter(folder / "data", spec, video=video) as writer:
        for episode in range(EPISODES):
            rows = []
            for i in range(FRAMES):
                state = np.sin(i + episode + np.arange(len(NAMES))).astype(np.float32)
                picture = random.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
                rows.append((Observation(stamp_ns=i, state=state, images={"top": picture}), state + 0.1))
            writer.add_episode(rows, f"task {episode}", {"source": "bench"})
    return _loaded(folder / "data")


def _loaded(root: Path) -> Truth:
    """As `emma train` reads it. Raises EmmaError."""
    source = open_source(root)
    table = FrameTable([source], tuple(source.cameras), threads=1, memory_bytes=0)
    pixels = [table.pixels(camera, np.arange(len(table))) for camera in table.cameras]
    stats = {f"{key}/{name}": np.asarray(v) for key, s in source.stats.items() for name, v in s.items()}
    about = (source.meta.fps, source.meta.robot_type, table.cameras, dict(source.joints), table.starts.tolist())
    images = np.concatenate(pixels) if pixels else np.empty(0)
    return Truth(table.states.numpy(), table.actions.numpy(), table.tasks, images, stats, about)


def _augmented(root: Path) -> None:
    """As `emma augment` reads it. Raises EmmaError."""
    source = SourceDataset.open(root)
    for episode in range(len(source)):
        source.read(episode)


def _attempt(part: str, folder: Path, scratch: Path, truth: Truth, chance: Random) -> Attempt:
    root = scratch / "data"
    shutil.copytree(folder / "data", root)
    done = _damage(root, part, chance)
    before = _files(root)
    try:
        findings = [f for f in validate(root, full=True) if NO_CHECKSUMS not in f.message]
        loaded = None
        for use in (_loaded, _augmented):
            try:
                found = use(root)
            except EmmaError:
                continue
            loaded = found if isinstance(found, Truth) else loaded
        return Attempt(
            damage=done,
            silent=loaded is not None and not _same(loaded, truth) and not findings,
            lost=(before - _files(root)).total(),
            refused=loaded is None,
        )
    except Exception as error:  # that is what is counted
        return Attempt(damage=done, traceback=f"{type(error).__name__}: {error}")


def _damage(root: Path, part: str, chance: Random) -> str:
    """Damage one file below `part`, or lose it."""
    file = chance.choice(sorted(path for path in (root / part).rglob("*") if path.is_file()))
    return damage_file(file, file.relative_to(root), chance, lost=0.05)


def _files(root: Path) -> Counter[tuple[str, bytes]]:
    return Counter((str(path), path.read_bytes()) for path in root.rglob("*") if path.is_file())


def _same(found: Truth, truth: Truth) -> bool:
    return (
        found.tasks == truth.tasks
        and found.about == truth.about
        and all(np.array_equal(a, b) for a, b in zip(found[:2], truth[:2], strict=True))
        and np.array_equal(found.pixels, truth.pixels)
        and found.stats.keys() == truth.stats.keys()
        and all(np.array_equal(found.stats[key], truth.stats[key]) for key in truth.stats)
    )


def _family(name: str, part: str, *, video: bool) -> Family:
    prepare: Callable[[Path], Truth] = partial(_prepare, video)
    return Family(name=name, attempts=100, prepare=prepare, attempt=partial(_attempt, part))


FAMILIES = (
    _family("dataset_tables", "data", video=False),
    _family("dataset_videos", "videos", video=True),
    _family("dataset_metadata", "meta", video=True),
)
