"""The videos of a dataset: as long as its episodes need them, and decodable to the last frame."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
from lerobot.datasets.utils import DatasetInfo

from emma.datasets.encode import is_depth
from emma.datasets.metadata import picture_size
from emma.datasets.validate_stats import PICTURE_SLACK, channel_means

Raw = tuple[str, str, str]
_PARTS = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")


def check_videos(
    root: Path, info: DatasetInfo, rows: list[dict[str, Any]], stats: Mapping[str, Any], full: bool
) -> Iterator[Raw]:
    """Each file is opened once; with `full` decoded to its end."""
    for key, feature in info.features.items():
        if feature["dtype"] != "video" or not info.video_path:
            continue
        files: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for row in rows:
            where = f"episode {row['episode_index']}, {key}"
            values: dict[str, Any] = {part: row.get(f"videos/{key}/{part}") for part in _PARTS}
            if holes := [part for part, value in values.items() if not isinstance(value, int | float)]:
                yield "error", where, f"the episode table lacks videos/{key}/{holes[0]}"
                continue
            if abs((values["to_timestamp"] - values["from_timestamp"]) * info.fps - row["length"]) > 0.5:
                seconds = values["to_timestamp"] - values["from_timestamp"]
                yield "error", where, f"{seconds * info.fps:.1f} frames of video for {row['length']} frames of data"
            name = info.video_path.format(
                video_key=key, chunk_index=values["chunk_index"], file_index=values["file_index"]
            )
            files[name].append({**values, "episode": row["episode_index"], "length": row["length"]})
        for name, parts in files.items():
            yield from _check_file(root, name, key, feature, parts, info, stats.get(key, {}), full)


def _check_file(
    root: Path,
    name: str,
    key: str,
    feature: Mapping[str, Any],
    parts: list[Mapping[str, Any]],
    info: DatasetInfo,
    stats: Mapping[str, Any],
    full: bool,
) -> Iterator[Raw]:
    where = f"episode {parts[0]['episode']}, {key}"
    try:
        with av.open(str(root / name)) as container:
            stream = container.streams.video[0]
            length_s = float(stream.duration * (stream.time_base or 1)) if stream.duration else 0.0
            frames, size = stream.frames, (stream.height, stream.width)
            if size != picture_size(feature):
                yield "error", where, f"{name} is {size}, the feature {tuple(feature['shape'])}"
            for part in parts:
                end = part["to_timestamp"]
                needed = round(end * info.fps)
                if end > length_s + 0.5 / info.fps or (frames and frames < needed):
                    yield (
                        "error",
                        f"episode {part['episode']}, {key}",
                        f"{name} ends at {length_s:.3f} s with {frames} frames, the episode needs "
                        f"{part['from_timestamp']:.3f}..{end:.3f} s, up to frame {needed}",
                    )
            if full:
                yield from _decode(container, name, key, feature, parts, info, stats)
    except (OSError, av.FFmpegError, IndexError, ValueError) as error:
        yield "error", where, f"{name} cannot be opened: {error}"


def _decode(
    container: Any,
    name: str,
    key: str,
    feature: Mapping[str, Any],
    parts: list[Mapping[str, Any]],
    info: DatasetInfo,
    stats: Mapping[str, Any],
) -> Iterator[Raw]:
    """Every frame of a file: none missing, none damaged, and together as the statistics have them."""
    times, sums, problem = [], np.zeros(3), ""
    counted = 0
    # Damage that a decoder can see ends it, instead of being covered up.
    container.streams.video[0].codec_context.options = {"err_detect": "explode"}
    try:
        for frame in container.decode(video=0):
            if frame.pts is None:
                continue
            times.append(float(frame.pts * frame.time_base))
            if frame.is_corrupt:
                problem = problem or f"frame {len(times) - 1} is damaged"
            if not is_depth(feature) and len(times) % 5 == 1:
                sums += channel_means(frame.to_ndarray(format="rgb24"))
                counted += 1
    except (OSError, av.FFmpegError, ValueError) as error:
        problem = problem or f"decoding fails after {len(times)} frames: {error}"
    seen = np.array(times)
    for part in parts:
        wanted = part["from_timestamp"] + np.arange(part["length"]) / info.fps
        gaps = np.abs(seen[:, None] - wanted[None]).min(0) if len(seen) else np.full(len(wanted), np.inf)
        lost = np.flatnonzero(gaps > 0.5 / info.fps)
        if len(lost):
            yield (
                "error",
                f"episode {part['episode']}, {key}",
                f"{len(lost)} of {part['length']} frames cannot be decoded from {name}, the first is {lost[0]}",
            )
    if problem:
        yield "error", f"episode {parts[0]['episode']}, {key}", f"{name}: {problem}"
    mean = np.ravel(stats.get("mean", []))
    alone = info.total_episodes == len(parts)
    if counted and len(mean) == 3 and alone and (np.abs(sums / counted - mean) > PICTURE_SLACK).any():
        seen_mean, stored = (np.round(v, 3).tolist() for v in (sums / counted, mean))
        yield "warning", f"episode {parts[0]['episode']}, {key}", f"mean colour {seen_mean}, stats.json has {stored}"
