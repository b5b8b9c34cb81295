"""Bags and datasets below the given folders, by id. A path never comes from a browser."""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from emma.bags.episode import EpisodeMeta
from emma.bags.info import list_episodes
from emma.console.clips import BagClip, Clip, DatasetClip
from emma.errors import EmmaError

if TYPE_CHECKING:
    from emma.datasets.source import SourceDataset

BAGS, DATASET = "bags", "dataset"
DATASET_MARK = "meta/info.json"
# Clips kept open: two people, and the one before.
OPEN = 6


@dataclass(frozen=True, kw_only=True)
class Source:
    """A dataset, or a folder of bags."""

    id: str
    kind: str
    path: Path

    @property
    def about(self) -> dict[str, str]:
        return {"id": self.id, "kind": self.kind, "name": self.path.name}


class Library:
    """What can be reviewed. Methods block; they may be called from several threads."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folder.resolve() for folder in folders)
        self._lock = Lock()
        self._clips: OrderedDict[tuple[str, str], Clip] = OrderedDict()
        self._bags: dict[str, dict[str, Path]] = {}

    def sources(self) -> list[Source]:
        """All of them, as they lie there now; what leads out of the folders by a link is left out."""
        found: dict[str, Source] = {}
        for folder in self._folders:
            if not folder.is_dir():
                continue
            for mark in sorted(folder.rglob(DATASET_MARK)):
                root = mark.parent.parent
                hidden = any(part.startswith(".") for part in root.relative_to(folder).parts)
                if not hidden and root.resolve().is_relative_to(folder):
                    source = _source(DATASET, root.resolve())
                    found[source.id] = source
            if any(folder.rglob("*.mcap")) or any(folder.rglob("episode.yaml")) or any(folder.rglob("*.db3")):
                source = _source(BAGS, folder)
                found[source.id] = source
        return list(found.values())

    def source(self, key: str) -> Source:
        """Raises EmmaError for an id that stands for nothing."""
        for source in self.sources():
            if source.id == key:
                return source
        raise EmmaError("no such recording", found=key, expected="an id from the list")

    def episodes(self, key: str) -> list[dict[str, Any]]:
        """One row an episode, with the id that `clip` takes."""
        source = self.source(key)
        if source.kind == DATASET:
            return _dataset_rows(open_dataset(source.path))
        rows = []
        for entry in list_episodes(source.path):
            row: dict[str, Any] = {"id": _key(entry.path), "name": entry.path.name, "bytes": entry.bytes}
            row["problem"] = entry.problem
            self._bags.setdefault(key, {})[row["id"]] = entry.path
            rows.append({**row, **(_meta(entry.meta) if entry.meta else {})})
        return rows

    def clip(self, key: str, episode: str) -> Clip:
        """An open episode. Raises EmmaError if there is none."""
        with self._lock:
            if (key, episode) in self._clips:
                self._clips.move_to_end((key, episode))
                return self._clips[key, episode]
        source = self.source(key)
        clip: Clip = _dataset_clip(source, episode) if source.kind == DATASET else BagClip(self.bag(key, episode))
        with self._lock:
            self._clips[key, episode] = clip
            while len(self._clips) > OPEN:
                self._clips.popitem(last=False)[1].close()
        return clip

    def origin(self, key: str, dataset: str, episode: int, frames: int) -> tuple[str, list[str]] | None:
        """Id and cameras of the dataset called `dataset` whose episode has as many frames: what a generated clip of the
        dataset `key` was made from. None if it is not in these folders."""
        for source in self.sources():
            if source.kind == DATASET and source.path.name == dataset and source.id != key:
                opened = open_dataset(source.path)
                if episode < len(opened) and opened.length(episode) == frames:
                    return source.id, list(opened.cameras)
        return None

    def forget(self, key: str, episode: str) -> None:
        """Open the episode anew next time: what is said of it has changed."""
        with self._lock:
            clip = self._clips.pop((key, episode), None)
        if clip is not None:
            clip.close()

    def bag(self, key: str, episode: str) -> Path:
        """The folder of a bag. Raises EmmaError if there is none."""
        if episode not in self._bags.get(key, {}):
            self.episodes(key)
        path = self._bags.get(key, {}).get(episode)
        if path is None or not path.exists():
            raise EmmaError("no such episode", found=episode, expected="an id from the list")
        return path

    def last(self) -> tuple[str, str]:
        """Source and id of the newest saved bag. Raises EmmaError if there is none."""
        newest: tuple[str, str, str] | None = None
        for source in self.sources():
            for row in self.episodes(source.id) if source.kind == BAGS else ():
                if row.get("state") == "saved" and (newest is None or row["started"] > newest[0]):
                    newest = (row["started"], source.id, row["id"])
        if newest is None:
            raise EmmaError("no episode was saved yet", found="no saved bag", expected="at least one")
        return newest[1], newest[2]

    def close(self) -> None:
        with self._lock:
            for clip in self._clips.values():
                clip.close()
            self._clips.clear()


def _source(kind: str, path: Path) -> Source:
    return Source(id=_key(path), kind=kind, path=path)


def _key(path: Path) -> str:
    return hashlib.sha256(str(path).encode()).hexdigest()[:16]


def _meta(meta: EpisodeMeta) -> dict[str, Any]:
    keys = ("instruction", "kind", "state", "success", "operator", "started")
    values = {key: value for key, value in asdict(meta).items() if key in keys}
    return {**values, "seconds": meta.duration_s, "dropped": meta.dropped}


def open_dataset(path: Path) -> "SourceDataset":
    """See `SourceDataset.open`, which may block for seconds the first time."""
    # Reading datasets imports LeRobot, and torch with it: a console that only shows a robot starts without.
    from emma.datasets.source import SourceDataset

    return SourceDataset.open(path)


def _dataset_rows(source: "SourceDataset") -> list[dict[str, Any]]:
    rows = []
    for number in range(len(source)):
        line: Mapping[str, Any] = source.provenance[number] if number < len(source.provenance) else {}
        rows.append(
            {
                "id": str(number),
                "name": f"episode {number}",
                "instruction": source.instruction(number),
                "frames": source.length(number),
                "seconds": source.length(number) / source.fps,
                "kind": "generated" if "from" in line else str(line.get("kind", "")),
                "success": line.get("success") if isinstance(line.get("success"), bool) else None,
                "scores": line.get("scores") if isinstance(line.get("scores"), dict) else None,
                "prompt": line.get("prompt") if isinstance(line.get("prompt"), str) else None,
            }
        )
    return rows


def _dataset_clip(source: Source, episode: str) -> DatasetClip:
    opened = open_dataset(source.path)
    if not episode.isdigit() or int(episode) >= len(opened):
        raise EmmaError("no such episode", found=episode, expected=f"0 to {len(opened) - 1}")
    return DatasetClip(opened, int(episode))
