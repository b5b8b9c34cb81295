"""Sentences on how episodes look, written into a dataset's provenance: what generators are trained with."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from emma.dreamtransfer.dataset import PROVENANCE, DatasetClips
from emma.errors import EmmaError
from emma.files import atomic_write_text

# (T, H, W, 3) uint8 frames and how many of them to look at -> a sentence.
Describe = Callable[[np.ndarray, int], str]


def caption_dataset(
    path: Path | str,
    describe: Describe,
    *,
    view: str | None = None,
    frames: int = 1,
    again: bool = False,
    progress: Callable[[int, int, str], None] = lambda *_: None,
) -> int:
    """Give every episode that has none a caption; returns how many were written.

    view: the camera that is described, by default the first. frames: of an episode that the model sees. again: replace
    captions that are there; prompts of generated episodes stay. Each sentence is on the disk before the next episode is
    looked at. Raises EmmaError for a dataset that is being written.
    """
    clips = DatasetClips.open(path, views=None if view is None else [view])
    camera = clips.views[0]
    clips = DatasetClips.open(path, views=[camera])
    if frames < 1:
        raise EmmaError("nothing to look at", found=f"{frames} frames", expected="1 or more")
    with _alone(clips.root):
        # Read again under the lock: another process may have added episodes meanwhile.
        clips = DatasetClips.open(path, views=[camera])
        lines: list[dict[str, Any]] = [dict(line) for line in clips.provenance]
        lines += [{"episode_index": i} for i in range(len(lines), len(clips))]
        missing = [i for i, line in enumerate(lines) if not line.get("prompt") and (again or not line.get("caption"))]
        for done, index in enumerate(missing):
            lines[index]["caption"] = describe(clips[index].clip.images[camera], frames)
            text = "".join(json.dumps(line) + "\n" for line in lines)
            atomic_write_text(clips.root / PROVENANCE, text)
            progress(done + 1, len(missing), lines[index]["caption"])
    return len(missing)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """The lock that writers and readers of datasets take on the folder."""
    lock = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise EmmaError(
            f"{root} is in use by another process",
            found="a lock on the folder",
            expected="no other process that reads or writes it",
            fix="wait until it is finished",
        ) from None
    finally:
        os.close(lock)
