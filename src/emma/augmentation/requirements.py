"""What stands in the way of an augmentation: missing depth, too little room on the disk, folders inside each other."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from emma.datasets.source import SourceDataset
from emma.errors import EmmaError

# PNG and AV1 of camera pictures against raw pixels, at worst; and what pages and tables of a job take.
_PNG_SHARE, _VIDEO_SHARE, _EXTRA_BYTES = 0.7, 0.05, 64 << 20


def require_depth(source: SourceDataset, model: bool) -> None:
    """EmmaError if a camera has no depth and there is no model to estimate it."""
    without = [camera for camera in source.cameras if camera not in source.depth_cameras]
    if without and not model:
        raise EmmaError(
            f"{source.root} has no depth for {', '.join(without)}",
            found=f"depth for {', '.join(source.depth_cameras) or 'no camera'}",
            expected="exact depth (16-bit images, mm) for every camera that is generated",
            fix="record depth topics, or estimate it: --depth-model depth-anything/Depth-Anything-V2-Small-hf",
        )


def require_apart(source: Path, out: Path) -> None:
    """EmmaError if one folder is inside the other."""
    a, b = source.resolve(), out.resolve()
    if a == b or a in b.parents or b in a.parents:
        raise EmmaError(
            "source and target overlap", found=f"{source} and {out}", expected="two folders beside each other"
        )


def require_disk(source: SourceDataset, episodes: Sequence[int], video: bool, out: Path) -> int:
    """Bytes that the clips of `episodes` (each as often as it is there) take. EmmaError if they are not free."""
    share = _VIDEO_SHARE if video else _PNG_SHARE
    height, width = source.size(source.cameras[0])
    sizes = {
        index: source.copied_bytes(index)
        + round(share * source.length(index) * height * width * 3 * len(source.cameras))
        for index in set(episodes)
    }
    # One clip lies there twice while it takes its place.
    needed = sum(sizes[index] for index in episodes) + max(sizes.values(), default=0) + _EXTRA_BYTES
    there = next(folder for folder in (out.resolve(), *out.resolve().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise EmmaError(
            f"not enough room on the disk of {out}",
            found=f"{free / 1e9:.2f} GB free",
            expected=f"about {needed / 1e9:.2f} GB for {len(episodes)} clips",
            fix="make room, choose another --out, fewer --variants, or --video",
        )
    return needed
