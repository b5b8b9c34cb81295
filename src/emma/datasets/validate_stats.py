"""The statistics of a dataset: what normalisation is made of, against what its frames hold."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lerobot.datasets.io_utils import load_stats
from lerobot.datasets.utils import STATS_PATH, DatasetInfo

from emma.arrays import Array
from emma.datasets.encode import is_depth
from emma.datasets.features import INDEXES

Raw = tuple[str, str, str]
# LeRobot takes the mean colour of about a hundred pictures an episode, of [0, 1].
PICTURE_SLACK = 0.1


def check_stats(root: Path, info: DatasetInfo, stats: dict[str, Any]) -> Iterator[Raw]:
    """What is wrong with the file by itself. Fills `stats`."""
    where = STATS_PATH
    try:
        found = load_stats(root)
    except Exception as error:  # broken JSON, or JSON of other things
        yield "error", where, f"cannot be read: {type(error).__name__}: {error}"
        return
    if found is None:
        yield "error", where, "is missing: policies cannot normalise"
        return
    stats |= found
    counted = int(np.ravel(stats.get("index", {}).get("count", [info.total_frames]))[0])
    if counted != info.total_frames:
        yield "warning", where, f"made of {counted} frames, the dataset has {info.total_frames}"
    for key, feature in info.features.items():
        if feature["dtype"] in ("string", "language"):
            continue
        if key not in stats:
            if key not in INDEXES:
                yield "error", where, f"nothing about {key}"
            continue
        yield from _check_feature(key, feature, stats[key])


def _check_feature(key: str, feature: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Raw]:
    where = STATS_PATH
    try:
        values = {name: np.asarray(value, np.float64) for name, value in found.items()}
    except (TypeError, ValueError, AttributeError) as error:
        yield "error", where, f"{key}: {error}"
        return
    bad = [name for name, value in values.items() if not np.isfinite(value).all()]
    if bad:
        yield "error", where, f"{key}: {', '.join(bad)} not finite"
    elif {"min", "mean", "max"} <= values.keys():
        if len({values[name].shape for name in ("min", "mean", "max")}) > 1:
            yield "error", where, f"{key}: min, mean and max have different shapes"
            return
        # Means are sums of rounded numbers; allow for it.
        slack = 1e-4 * (1 + np.abs(values["mean"]))
        if (values["min"] > values["mean"] + slack).any() or (values["mean"] > values["max"] + slack).any():
            yield "error", where, f"{key}: mean outside of min..max"
    if key not in INDEXES and not is_depth(feature) and (values.get("std", np.ones(1)) == 0).any():
        flat = np.flatnonzero(values["std"].ravel() == 0).tolist()
        yield "warning", where, f"{key} never changes in dimensions {flat}: normalising divides by almost nothing"


def add_numbers(sums: dict[str, Any], key: str, values: Array) -> None:
    """Count an episode's (T, D) or (T,) numbers."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    total = sums.setdefault(key, {"count": 0, "sum": 0.0, "squares": 0.0, "min": np.inf, "max": -np.inf})
    total["count"] += len(flat)
    total["sum"] = total["sum"] + flat.sum(0)
    total["squares"] = total["squares"] + np.square(flat).sum(0)
    total["min"] = np.minimum(total["min"], flat.min(0))
    total["max"] = np.maximum(total["max"], flat.max(0))


def add_picture(sums: dict[str, Any], key: str, image: Array) -> None:
    """Count one (H, W, 3) uint8 picture."""
    total = sums.setdefault(key, {"pictures": 0, "sum": np.zeros(3)})
    total["pictures"] += 1
    total["sum"] = total["sum"] + channel_means(image)


def channel_means(image: Array) -> Array:
    """(3,) mean colour in [0, 1], of a sixteenth of the pixels."""
    return np.asarray(image[::4, ::4, :3].reshape(-1, 3).mean(0) / 255.0)


def compare_stats(
    info: DatasetInfo, stats: Mapping[str, Any], sums: Mapping[str, Any], *, pictures: bool
) -> Iterator[Raw]:
    """Statistics of the frames that were read against those that are stored."""
    for key, total in sums.items():
        if key in INDEXES:
            # LeRobot keeps those of the datasets that it merges; nothing normalises them.
            continue
        stored = {name: np.ravel(np.asarray(value, np.float64)) for name, value in stats.get(key, {}).items()}
        if "pictures" in total:
            mean = total["sum"] / total["pictures"]
            if pictures and len(stored.get("mean", ())) == 3 and (abs(mean - stored["mean"]) > PICTURE_SLACK).any():
                seen = np.round(mean, 3).tolist()
                yield "warning", STATS_PATH, f"{key}: mean is {np.round(stored['mean'], 3).tolist()}, pictures: {seen}"
            continue
        if total["count"] != info.total_frames:
            continue
        mean = total["sum"] / total["count"]
        spread = np.sqrt(np.maximum(total["squares"] / total["count"] - mean**2, 0))
        for name, seen, slack in (
            ("min", total["min"], 1e-4),
            ("max", total["max"], 1e-4),
            ("mean", mean, 1e-2),
            ("std", spread, 2e-2),
        ):
            if name not in stored or stored[name].shape != seen.shape:
                continue
            off = np.abs(stored[name] - seen) > slack * (spread + 1e-3 * (1 + np.abs(seen)))
            if off.any():
                at = int(np.flatnonzero(off)[0])
                yield (
                    "error",
                    STATS_PATH,
                    f"{key}: {name} of dimension {at} is {stored[name][at]:.6g}, the frames have {seen[at]:.6g}",
                )
