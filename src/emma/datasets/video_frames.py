"""Frames of videos by their time, in any order: files stay open, and what lies just ahead is decoded without a seek."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import av

from emma.arrays import Array
from emma.errors import EmmaError

# Files that stay open, all threads together, each with a decoder: 5 to 10 MB at 640 x 480. A thread has at least some.
OPEN_FILES, LEAST_OPEN = 96, 4


class VideoFrames:
    """Any frame of any video file, for `threads` threads: each has its own decoders."""

    def __init__(self, threads: int) -> None:
        self._open_files = max(LEAST_OPEN, OPEN_FILES // threads)
        self._mine = threading.local()

    def read(self, path: Path, times_s: Sequence[float], tolerance_s: float) -> list[Array]:
        """(H, W, 3) uint8 RGB of the frames nearest to each of `times_s`, in the file's own time.

        Raises EmmaError if the file cannot be decoded, or has no frame within `tolerance_s` of a time.
        """
        try:
            reader = self._reader(path)
            return [reader.at(time_s, tolerance_s) for time_s in times_s]
        except (OSError, av.FFmpegError, IndexError, ValueError) as error:
            self._forget(path)
            raise EmmaError(
                f"cannot decode {path}",
                found=f"{type(error).__name__}: {error}",
                expected="a whole video",
                fix="`emma episodes validate --full` tells which episodes are affected",
            ) from error
        except EmmaError:
            self._forget(path)
            raise

    def _reader(self, path: Path) -> "_Reader":
        if not hasattr(self._mine, "readers"):
            self._mine.readers = OrderedDict()
        readers: OrderedDict[Path, _Reader] = self._mine.readers
        if path not in readers:
            while len(readers) >= self._open_files:
                readers.popitem(last=False)[1].close()
            readers[path] = _Reader(path)
        readers.move_to_end(path)
        return readers[path]

    def _forget(self, path: Path) -> None:
        reader = getattr(self._mine, "readers", {}).pop(path, None)
        if reader is not None:
            reader.close()


class _Reader:
    """One open file. Decoders give frames in the order of their times."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._container = av.open(str(path))
        try:
            self._stream = self._container.streams.video[0]
        except IndexError:
            self._container.close()
            raise ValueError("no video in it") from None
        # Threads of a decoder pay off in a sequence; here every thread is one of many readers.
        self._stream.thread_type = "NONE"
        self._base = float(self._stream.time_base or 1)
        self._step_s = 1.0 / float(self._stream.average_rate or 30)
        self._frames: Iterator[av.VideoFrame] = iter(())
        self._last: av.VideoFrame | None = None

    def close(self) -> None:
        self._container.close()

    def at(self, time_s: float, tolerance_s: float) -> Array:
        """The frame nearest to `time_s`."""
        frame = self._last
        # One step ahead costs less than a seek; a frame before the last one needs it.
        if frame is None or not -tolerance_s <= time_s - self._time(frame) <= 1.5 * self._step_s:
            frame = self._seek(time_s, tolerance_s)
        while frame is not None and self._time(frame) < time_s - 0.5 * self._step_s:
            frame = next(self._frames, None)
        self._last = frame
        if frame is None:
            raise EmmaError(f"no frame at {time_s:.3f} s in {self._path}", found="the end", expected="a longer video")
        return self._near(frame, time_s, tolerance_s)

    def _seek(self, time_s: float, tolerance_s: float) -> av.VideoFrame | None:
        """The first frame from the key frame at or before `time_s` on."""
        # Seeking goes by the order of decoding, which may place a key frame before frames that are shown earlier.
        for back_s in (-0.25 * self._step_s, 1.0, time_s):
            target = max(0, int((time_s - back_s) / self._base))
            self._container.seek(target, backward=True, stream=self._stream)
            self._frames = (f for f in self._container.decode(self._stream) if f.pts is not None)
            frame = next(self._frames, None)
            if frame is not None and self._time(frame) <= time_s + tolerance_s:
                return frame
        return frame

    def _near(self, frame: av.VideoFrame, time_s: float, tolerance_s: float) -> Array:
        if abs(self._time(frame) - time_s) > tolerance_s:
            self._last = None
            raise EmmaError(
                f"no frame at {time_s:.4f} s in {self._path}",
                found=f"the nearest is at {self._time(frame):.4f} s",
                expected=f"one within {tolerance_s:.4f} s",
                fix="`emma episodes validate --full` tells which episodes are affected",
            )
        image: Array = frame.to_ndarray(format="rgb24")
        return image

    def _time(self, frame: av.VideoFrame) -> float:
        assert frame.pts is not None
        return frame.pts * self._base
