"""Video of a recording: times without decoding, frames one at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np

from emma.errors import EmmaError


class VideoFacts(NamedTuple):
    """size (width, height); times_s (F,) of its frames from the first on; rate_hz on average."""

    size: tuple[int, int]
    times_s: np.ndarray
    rate_hz: float


def video_facts(path: Path) -> VideoFacts:
    """Read packet times alone. Raises EmmaError if there is no whole video at `path`."""
    if not path.is_file():
        raise EmmaError("the video is missing", found=f"no {path}", expected="the video beside the hand poses")
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            base = float(stream.time_base or 0)
            times = sorted(p.pts * base for p in container.demux(stream) if p.pts is not None)
            size = (stream.width, stream.height)
            rate = float(stream.average_rate or 0)
    except (av.FFmpegError, IndexError) as error:
        raise EmmaError(
            f"{path} is no whole video", found=str(error), expected="a video that plays to its end", fix="copy it again"
        ) from None
    if not times:
        raise EmmaError(f"{path} has no frames", found="0 frames", expected="a video")
    return VideoFacts(size, np.array(times) - times[0], rate)


def frames_at(path: Path, indices: np.ndarray, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 RGB of frames `indices`, which do not decrease, scaled to `size` (width, height).

    Decodes the video once and holds one frame. Raises EmmaError if it ends early.
    """
    wanted, at = [int(index) for index in indices], 0
    try:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "SLICE"
            for number, frame in enumerate(container.decode(video=0)):
                if at == len(wanted):
                    return
                if number != wanted[at]:
                    continue
                image = cv2.resize(frame.to_ndarray(format="rgb24"), size, interpolation=cv2.INTER_AREA)
                while at < len(wanted) and wanted[at] == number:
                    yield image
                    at += 1
    except av.FFmpegError as error:
        raise EmmaError(f"{path} cannot be decoded", found=str(error), expected="a whole video") from None
    if at < len(wanted):
        raise EmmaError(
            f"{path} ends early",
            found=f"no frame {wanted[at]}",
            expected="every frame its index lists",
            fix="copy it again",
        )
