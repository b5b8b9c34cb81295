"""One camera of one episode as a video, encoded as LeRobot does: small and lossy, for colour only."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, cast

import av
from av.video.stream import VideoStream

from emma.arrays import Array

# SVT-AV1 greets on stderr with every file; 1 is errors only.
os.environ.setdefault("SVT_LOG", "1")

# lerobot.configs.video.RGBEncoderConfig's defaults; a key frame every second frame makes random access cheap.
CODEC, PIXELS = "libsvtav1", "yuv420p"
OPTIONS = {"g": 2, "crf": 30, "preset": 12}
# One thread: the parallelism is over episodes, and AV1 would take every core it sees.
ENCODER_PARAMETERS = {"svtav1-params": "fast-decode=0:lp=1"}

# A folder for each thread of this process.
TASKS = "/proc/self/task"


def video_info(height: int, width: int, fps: int) -> dict[str, Any]:
    """What `meta/info.json` says about such a video (lerobot.datasets.video_utils.get_video_info)."""
    return {
        "video.height": height,
        "video.width": width,
        "video.codec": "av1",
        "video.pix_fmt": PIXELS,
        "video.fps": fps,
        "video.channels": 3,
        "has_audio": False,
        **{f"video.{name}": value for name, value in OPTIONS.items()},
        "video.fast_decode": 0,
        "video.video_backend": "pyav",
        "video.extra_options": {},
        "is_depth_map": False,
    }


@contextmanager
def _class_kept() -> Iterator[None]:
    """This thread, and those that begin within, stay in its scheduling class.

    Where it may (root, CAP_SYS_NICE), SVT-AV1 puts its threads and the caller's into the highest real-time class, and
    leaves them there: before every control loop and recorder of the machine.
    """
    kind, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    before = set(os.listdir(TASKS))
    try:
        yield
    finally:
        for thread in {*os.listdir(TASKS)} - before | {str(threading.get_native_id())}:
            with suppress(OSError):
                os.sched_setscheduler(int(thread), kind, parameters)


class VideoFile:
    """Takes (H, W, 3) uint8 RGB frames, 1 / fps apart; `close` makes the file whole, `abort` removes it."""

    def __init__(self, path: Path, height: int, width: int, fps: int) -> None:
        self.path = path
        self._container = av.open(str(path), "w", format="mp4")
        options = {name: str(value) for name, value in OPTIONS.items()} | ENCODER_PARAMETERS
        self._stream = cast(VideoStream, self._container.add_stream(CODEC, fps, options=options))
        self._stream.height, self._stream.width, self._stream.pix_fmt = height, width, PIXELS
        self._begun = False

    def add(self, image: Array) -> None:
        """Encode one frame."""
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        # The encoder starts with the first frame.
        with nullcontext() if self._begun else _class_kept():
            self._container.mux(self._stream.encode(frame))
        self._begun = True

    def close(self) -> None:
        """Flush the encoder and write the index."""
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def abort(self) -> None:
        """Stop and leave no file."""
        self._container.close()
        self.path.unlink(missing_ok=True)
