"""The work folder of a job, OUT/.augment: finished clips wait here until all are there and the filter has spoken."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from emma.augmentation.clips import ClipTask, MadeClip
from emma.datasets.encode import EncodedEpisode
from emma.datasets.source import plain
from emma.errors import EmmaError
from emma.files import atomic_write_bytes, atomic_write_text

FOLDER = ".augment"


@dataclass(frozen=True, order=True)
class Key:
    """Which clip: a variant of an episode of the source."""

    episode: int
    variant: int

    def __str__(self) -> str:
        return f"{self.episode:06d}-{self.variant:02d}"


class Stage:
    """Files of one job. A clip is there when its JSON is, which is written last."""

    def __init__(self, out: Path) -> None:
        self.folder = out / FOLDER
        self._clips = self.folder / "clips"

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Start the job with `settings`, or go on with it. Raises EmmaError if another one was begun here."""
        file = self.folder / "job.json"
        there = self._read(file)
        wanted = plain(settings)
        if there is None:
            atomic_write_text(file, json.dumps(wanted, indent=2) + "\n")
        elif different := sorted(key for key in {*there, *wanted} if there.get(key) != wanted.get(key)):
            raise EmmaError(
                f"{self.folder.parent} holds another augmentation",
                found=", ".join(f"{key} {_short(there.get(key))}" for key in different),
                expected=", ".join(f"{key} {_short(wanted.get(key))}" for key in different),
                fix="choose another --out, or the same settings as before",
            )

    def has(self, key: Key) -> bool:
        return self._sidecar(key).is_file()

    def add(self, key: Key, task: ClipTask, made: MadeClip) -> None:
        """Keep a finished clip."""
        self._clips.mkdir(parents=True, exist_ok=True)
        atomic_write_bytes(self._parquet(key), made.parquet)
        for feature, video in made.videos.items():
            atomic_write_bytes(self._video(key, feature), video)
        sidecar = {
            "prompt": task.prompt.text,
            "words": dict(task.prompt.words),
            "seed": task.seed,
            "scores": made.scores,
            "length": made.length,
            "videos": sorted(made.videos),
            "image_stats": made.image_stats,
        }
        # NaN stays NaN here: the filter tells "cannot be had" from a number.
        atomic_write_text(self._sidecar(key), json.dumps(sidecar))

    def sidecar(self, key: Key) -> dict[str, Any]:
        """What is known of a clip, also after it took its place in a dataset."""
        return dict(json.loads(self._sidecar(key).read_text()))

    def encoded(self, key: Key) -> EncodedEpisode:
        """The clip in the form in which a DatasetWriter takes it and uses it up."""
        info = self.sidecar(key)
        with pq.ParquetFile(self._parquet(key)) as file:
            # Pictures are structs; what is left are vectors and scalars.
            numeric = [field.name for field in file.schema_arrow if "struct" not in str(field.type)]
            table = file.read(
                columns=[name for name in numeric if "string" not in str(file.schema_arrow.field(name).type)]
            )
        return EncodedEpisode(
            path=self._parquet(key),
            length=int(info["length"]),
            videos={feature: self._link(self._video(key, feature)) for feature in info["videos"]},
            vectors={name: _array(table[name]) for name in table.column_names},
            image_stats={
                feature: {name: np.asarray(value) for name, value in stats.items()}
                for feature, stats in info["image_stats"].items()
            },
        )

    def remove(self, key: Key) -> None:
        """Forget the files of a clip that took its place; its sidecar stays until the job is done."""
        for path in (self._parquet(key), *self._clips.glob(f"{key}.*.mp4")):
            path.unlink(missing_ok=True)

    def failed(self, key: Key, text: str) -> None:
        """Keep what a clip that could not be made died of."""
        atomic_write_text(self.folder / "failed" / f"{key}.txt", text)

    def write(self, name: str, value: Any) -> None:
        atomic_write_text(self.folder / f"{name}.json", json.dumps(value, indent=2) + "\n")

    def read(self, name: str) -> Any:
        """What `write` wrote; None if nothing."""
        return self._read(self.folder / f"{name}.json")

    def leftovers(self) -> Iterator[Path]:
        """Files that a killed run began."""
        yield from self.folder.rglob(".*.part")

    @staticmethod
    def _link(video: Path) -> Path:
        """Another name for a video: a writer takes that one away, and may be killed before the episode counts."""
        name = video.with_name(f".{video.name}")
        name.unlink(missing_ok=True)
        try:
            os.link(video, name)
        except OSError:  # a file system without links
            shutil.copyfile(video, name)
        return name

    @staticmethod
    def _read(file: Path) -> Any:
        return json.loads(file.read_text()) if file.is_file() else None

    def _parquet(self, key: Key) -> Path:
        return self._clips / f"{key}.parquet"

    def _video(self, key: Key, feature: str) -> Path:
        return self._clips / f"{key}.{feature}.mp4"

    def _sidecar(self, key: Key) -> Path:
        return self._clips / f"{key}.json"


def _array(column: Any) -> np.ndarray:
    flat = column.combine_chunks()
    if not hasattr(flat, "flatten") or "list" not in str(flat.type):
        return np.asarray(flat.to_numpy(zero_copy_only=False))
    return np.asarray(flat.flatten().to_numpy(zero_copy_only=False)).reshape(len(flat), -1)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
