"""Datasets of version 2.0 and 2.1, converted by LeRobot's own converter into a cache; the original is only read."""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq

from emma.arrays import Array
from emma.datasets.image_stats import ImageStats
from emma.errors import EmmaError
from emma.files import no_room

# What LeRobot 0.6 takes: v3.x as it is, v2.1 through its converter; v2.0 lacks statistics of each episode only.
OLD = ("v2.0", "v2.1")
EPISODES_STATS = "meta/episodes_stats.jsonl"
# Pictures of an episode whose statistics are made: about as many as LeRobot samples.
SAMPLED = 100


def current_version(root: Path) -> Path:
    """The dataset at `root` itself if it is of version 3, else its conversion, made once and kept in the cache.

    Raises EmmaError for other versions, and for a dataset that LeRobot's converter refuses.
    """
    version = _version(root)
    if version.startswith("v3.") or not version:
        return root
    if version not in OLD:
        raise EmmaError(
            f"the dataset {root} has another version",
            found=version,
            expected="v3.x, or v2.1 and v2.0, which are converted",
            fix="convert it with the version of LeRobot that wrote it",
        )
    place = cache_folder() / f"{root.name}-{_fingerprint(root)}"
    if (place / "meta/info.json").is_file():
        return place
    print(f"{root} is of version {version}: converting a copy to v3.0 in {place}", file=sys.stderr, flush=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{root.name}-") as scratch:
        copy = Path(scratch) / "copy"
        _convert(root, copy, version)
        try:
            os.rename(copy, place)
        except OSError:
            # Another process was faster.
            if not (place / "meta/info.json").is_file():
                raise
    return place


def cache_folder() -> Path:
    """Where conversions are kept: $EMMA_CACHE, else below the user's cache, else below the temporary folder."""
    if place := os.environ.get("EMMA_CACHE"):
        return Path(place) / "datasets"
    home = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("HOME") and os.path.expanduser("~/.cache"))
    return Path(home or tempfile.gettempdir()) / "emma" / "datasets"


def _version(root: Path) -> str:
    try:
        raw = json.loads((root / "meta/info.json").read_text())
        return str(raw.get("codebase_version", ""))
    except (OSError, ValueError, AttributeError):
        # Whoever reads the file next says what is wrong with it.
        return ""


def _fingerprint(root: Path) -> str:
    """Changes with any file of the dataset."""
    digest = hashlib.sha256()
    for file in sorted(p for p in root.rglob("*") if p.is_file()):
        stat = file.stat()
        digest.update(f"{file.relative_to(root)}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _convert(root: Path, copy: Path, version: str) -> None:
    from lerobot.scripts.convert_dataset_v21_to_v30 import convert_dataset

    # The converter works in place: it gets a folder of links, and what it writes takes their place.
    copy.mkdir()
    (copy / "meta").mkdir()
    for entry in root.iterdir():
        if entry.name != "meta":
            (copy / entry.name).symlink_to(entry)
    for entry in (root / "meta").iterdir():
        if entry.is_file():
            shutil.copyfile(entry, copy / "meta" / entry.name)
    try:
        with _quiet(copy.parent / "huggingface"):
            if version == "v2.0":
                _complete(copy)
            convert_dataset(f"local/{root.name}", root=copy, push_to_hub=False)
    except Exception as error:  # LeRobot raises many kinds for a broken folder
        if no_room(error):
            raise
        raise EmmaError(
            f"LeRobot cannot convert the dataset {root} from {version} to v3.0",
            found=f"{type(error).__name__}: {error}",
            expected="a whole dataset of that version",
            fix="download it again, or convert it with the version of LeRobot that wrote it",
        ) from error
    shutil.rmtree(copy.with_name(f"{copy.name}_old"), ignore_errors=True)


@contextmanager
def _quiet(cache: Path) -> Iterator[None]:
    """No bars, and no copies of tables in the user's home."""
    import datasets.config

    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = cache
    try:
        with redirect_stderr(StringIO()):
            yield
    finally:
        datasets.config.HF_DATASETS_CACHE = before


def _complete(copy: Path) -> None:
    """Make of a v2.0 dataset one of v2.1: statistics of each episode, computed from its frames."""
    from lerobot.datasets.utils import serialize_dict

    info = json.loads((copy / "meta/info.json").read_text())
    lines = []
    for file in sorted((copy / "data").glob("*/*.parquet")):
        number = int(file.stem.rpartition("_")[2])
        stats = _episode_stats(copy, info, file, number)
        lines.append(json.dumps({"episode_index": number, "stats": serialize_dict(stats)}) + "\n")
    (copy / EPISODES_STATS).write_text("".join(lines))
    (copy / "meta/info.json").write_text(json.dumps({**info, "codebase_version": "v2.1"}))


def _episode_stats(copy: Path, info: dict[str, Any], file: Path, number: int) -> dict[str, dict[str, Array]]:
    from lerobot.datasets.compute_stats import get_feature_stats

    table = pq.read_table(file)
    stats: dict[str, dict[str, Array]] = {}
    for key, feature in info["features"].items():
        if feature["dtype"] == "image":
            stats[key] = _picture_stats(_stored(table[key].to_pylist()))
        elif feature["dtype"] == "video":
            chunk = number // int(info.get("chunks_size", 1000))
            name = info["video_path"].format(video_key=key, episode_chunk=chunk, episode_index=number)
            stats[key] = _picture_stats(_filmed(copy / name, len(table)))
        elif feature["dtype"].startswith(("float", "int", "uint", "bool")):
            values = np.array(table[key].to_pylist(), np.float64)
            stats[key] = get_feature_stats(values, axis=0, keepdims=values.ndim == 1)
    return stats


def _picture_stats(images: Iterator[Array]) -> dict[str, Array]:
    counted = ImageStats(3, np.uint8, 255.0)
    for image in images:
        counted.add(image)
    return counted.result()


def _stored(cells: list[dict[str, Any]]) -> Iterator[Array]:
    for cell in cells[:: max(1, len(cells) // SAMPLED)]:
        image = cv2.imdecode(np.frombuffer(cell["bytes"], np.uint8), cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise ValueError("an image cannot be decoded")
        yield image


def _filmed(path: Path, frames: int) -> Iterator[Array]:
    import av

    step = max(1, frames // SAMPLED)
    with av.open(str(path)) as container:
        for i, frame in enumerate(container.decode(video=0)):
            if i % step == 0:
                yield frame.to_ndarray(format="rgb24")
