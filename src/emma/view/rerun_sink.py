"""Rerun: entities `camera/<name>`, `joints/<name>/state`, `joints/<name>/command`, `joints/<name>/chunk`, `words`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emma.errors import EmmaError

TIMELINE = "stamp"
CHUNK = "chunk"


def library() -> Any:
    """The rerun package. Raises EmmaError without it."""
    try:
        import rerun
    except ImportError:
        raise EmmaError(
            "Rerun is not installed",
            found="no package rerun-sdk",
            expected="the extra view",
            fix="pip install rerun-sdk",
        ) from None
    return rerun


class RerunSink:
    """A Rerun viewer that is started here, or a recording in the file `save`."""

    def __init__(self, names: Sequence[str], save: Path | None = None) -> None:
        self._rr, self._names = library(), tuple(names)
        self._stream = self._rr.RecordingStream("emma")
        if save is not None:
            self._stream.save(save)
        else:
            self._stream.spawn()

    def picture(self, camera: str, time_ns: int, data: bytes, media: str) -> None:
        self._at(time_ns)
        self._stream.log(f"camera/{camera}", self._rr.EncodedImage(contents=data, media_type=media))

    def joints(self, kind: str, time_ns: int, values: Sequence[float]) -> None:
        self._at(time_ns)
        for name, value in zip(self._names, values, strict=True):
            self._stream.log(f"joints/{name}/{kind}", self._rr.Scalars(float(value)))

    def chunk(self, times_ns: Sequence[int], positions: np.ndarray) -> None:
        index = self._rr.TimeColumn(TIMELINE, timestamp=np.asarray(times_ns, dtype="datetime64[ns]"))
        for name, column in zip(self._names, positions.T, strict=True):
            self._stream.send_columns(
                f"joints/{name}/{CHUNK}", indexes=[index], columns=self._rr.Scalars.columns(scalars=column)
            )

    def words(self, time_ns: int, text: str) -> None:
        self._at(time_ns)
        self._stream.log("words", self._rr.TextLog(text))

    def close(self) -> None:
        self._stream.flush()
        self._stream.disconnect()

    def _at(self, time_ns: int) -> None:
        self._stream.set_time(TIMELINE, timestamp=np.datetime64(time_ns, "ns"))
