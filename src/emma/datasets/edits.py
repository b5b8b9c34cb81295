"""Edits of a LeRobotDataset: a list that can be undone, then applied as a whole into a new dataset.

The original is only read. LeRobot's own functions delete, merge and relabel; what it cannot do, cutting episodes, is
done by this project's writer, with stored pictures copied as they are.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np

from emma.arrays import Array
from emma.datasets.checksums import all_files, write_checksums
from emma.datasets.encode import EncodedEpisode, is_depth, parquet_options
from emma.datasets.features import IMAGES
from emma.datasets.files import dataset_root, decoded, each_encoded, vectors
from emma.datasets.image_stats import ImageStats
from emma.datasets.index import PROVENANCE_PATH, read_provenance
from emma.datasets.source import SourceDataset
from emma.datasets.video import VideoFile
from emma.datasets.writer import DatasetWriter, reading
from emma.errors import EmmaError
from emma.files import atomic_dir, atomic_write_text
from emma.records import decode, encode

KINDS = ("trim", "delete", "split", "relabel", "mark", "merge")


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One edit. episode, first, end and at count in the original dataset, whatever edits came before.

    trim: keep frames [first, end); split: a new episode begins at frame `at`; relabel: words; mark: success;
    merge: append the episodes of `dataset`. relabel and mark touch the part that holds frame `at`, -1: all parts.
    """

    kind: str
    episode: int = -1
    first: int = 0
    end: int = 0
    at: int = -1
    words: str = ""
    success: bool | None = None
    dataset: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise EmmaError("unknown edit", found=self.kind, expected=f"one of {', '.join(KINDS)}")
        if self.kind == "relabel" and not self.words.strip():
            raise EmmaError("an episode without an instruction", found=repr(self.words), expected="words for the task")
        if self.kind == "merge" and not self.dataset:
            raise EmmaError("nothing to merge", found="no dataset", expected="a dataset folder")

    def __str__(self) -> str:
        match self.kind:
            case "trim":
                return f"trim episode {self.episode} to frames {self.first} to {self.end}"
            case "split":
                return f"split episode {self.episode} at frame {self.at}"
            case "relabel":
                return f'relabel episode {self.episode}: "{self.words}"'
            case "mark":
                return f"mark episode {self.episode} as {'success' if self.success else 'failure'}"
            case "merge":
                return f"append {self.dataset}"
            case _:
                return f"delete episode {self.episode}"


@dataclass(frozen=True, kw_only=True)
class EditList:
    """The edits of one dataset, in order. sha256: of the dataset that they were made for, as SourceDataset has it."""

    VERSION: ClassVar[int] = 1

    sha256: str
    edits: tuple[Edit, ...] = ()

    def adding(self, edit: Edit) -> "EditList":
        return replace(self, edits=(*self.edits, edit))

    def keeping(self, episode: int) -> "EditList":
        """Without deletions of `episode`."""
        kept = tuple(edit for edit in self.edits if edit.kind != "delete" or edit.episode != episode)
        return replace(self, edits=kept)

    def undone(self) -> "EditList":
        """Without the newest edit. Raises EmmaError where there is none."""
        if not self.edits:
            raise EmmaError("nothing to undo", found="no edits", expected="at least one")
        return replace(self, edits=self.edits[:-1])


@dataclass(frozen=True, kw_only=True)
class Part:
    """One episode of the result: frames [first, end) of an original episode, its words, and its mark if one is set."""

    episode: int
    first: int
    end: int
    words: str
    success: bool | None = None
    marked: bool = False

    def __len__(self) -> int:
        return self.end - self.first


def edits_file(root: Path) -> Path:
    """Where the edits of the dataset at `root` wait: beside it, so that the original stays untouched."""
    return root.with_name(f"{root.name}.edits.json")


def load_edits(root: Path) -> EditList:
    """The waiting edits. Raises EmmaError if they were made for another state of the dataset."""
    source = SourceDataset.open(root)
    path = edits_file(source.root)
    if not path.is_file():
        return EditList(sha256=source.sha256())
    edits = decode(EditList, path.read_bytes(), str(path))
    if edits.edits and edits.sha256 != source.sha256():
        raise EmmaError(
            f"{root} has changed since it was edited",
            found=f"{len(edits.edits)} edits of another state",
            expected="the dataset as it was",
            fix=f"remove {path}, and edit again",
        )
    return replace(edits, sha256=source.sha256())


def save_edits(root: Path, edits: EditList) -> None:
    """Keep the list beside the dataset; an empty one leaves no file."""
    path = edits_file(root.resolve())
    if edits.edits:
        atomic_write_text(path, encode(edits, indent=2) + "\n")
    else:
        path.unlink(missing_ok=True)


def preview(source: SourceDataset, edits: Sequence[Edit]) -> list[Part]:
    """The episodes that the result will have, without those of merged datasets. Raises EmmaError for a bad edit."""
    parts = [
        Part(episode=i, first=0, end=source.length(i), words=source.instruction(i)) for i in range(len(source.episodes))
    ]
    for number, edit in enumerate(edits, 1):
        try:
            parts = _edited(parts, edit, source)
        except EmmaError as error:
            problem = f"edit {number}, {edit}: {error.problem}"
            raise EmmaError(problem, found=error.found, expected=error.expected) from None
    if not parts:
        raise EmmaError("nothing is left", found="every episode deleted", expected="at least one episode")
    return parts


def _edited(parts: list[Part], edit: Edit, source: SourceDataset) -> list[Part]:
    if edit.kind == "merge":
        require_alike(source, SourceDataset.open(edit.dataset))
        return parts
    mine = [part for part in parts if part.episode == edit.episode]
    if not mine:
        raise EmmaError("no such episode", found=edit.episode, expected=f"one of {len(source.episodes)} that is left")
    length = source.length(edit.episode)
    if edit.kind == "trim":
        if not 0 <= edit.first < edit.end <= length:
            raise EmmaError("no frames", found=f"{edit.first} to {edit.end}", expected=f"a range within 0 to {length}")
        new = [replace(p, first=max(p.first, edit.first), end=min(p.end, edit.end)) for p in mine]
        new = [part for part in new if part.first < part.end]
    elif edit.kind == "split":
        if not any(part.first < edit.at < part.end for part in mine):
            raise EmmaError("no frame to split at", found=edit.at, expected=f"a frame within 1 to {length - 1}")
        new = [piece for part in mine for piece in _split(part, edit.at)]
    elif edit.kind == "delete":
        new = [part for part in mine if edit.at >= 0 and not part.first <= edit.at < part.end]
    else:
        changes: dict[str, Any] = (
            {"words": edit.words.strip()} if edit.kind == "relabel" else {"success": edit.success, "marked": True}
        )
        new = [replace(p, **changes) if edit.at < 0 or p.first <= edit.at < p.end else p for p in mine]
    where = parts.index(mine[0])
    return [*parts[:where], *new, *(part for part in parts[where:] if part.episode != edit.episode)]


def _split(part: Part, at: int) -> list[Part]:
    if not part.first < at < part.end:
        return [part]
    return [replace(part, end=at), replace(part, first=at)]


def require_alike(source: SourceDataset, other: SourceDataset) -> None:
    """Raise EmmaError unless the two datasets can be one."""
    if (source.fps, source.robot, source.features) != (other.fps, other.robot, other.features):
        raise EmmaError(
            f"{other.root.name} does not fit {source.root.name}",
            found=f"{other.robot} at {other.fps} Hz with {', '.join(other.features)}",
            expected=f"{source.robot} at {source.fps} Hz with {', '.join(source.features)}",
        )


def apply_edits(
    root: Path | str, edits: Sequence[Edit], out: Path | str, progress: Callable[[str], None] = lambda _: None
) -> int:
    """Write the edited dataset to the new folder `out`; returns its number of episodes. The original is only read.

    Whole episodes come first, in their order, then those that were cut, then merged datasets. EmmaError for a bad edit
    or an `out` that exists; then nothing is left there.
    """
    root, out = dataset_root(root), Path(out)
    if out.exists():
        raise EmmaError(f"{out} exists", found="a file or folder", expected="a new folder")
    if not edits:
        raise EmmaError("nothing to apply", found="no edits", expected="at least one")
    with reading(root), atomic_dir(out) as folder, _datasets_cache(folder / ".cache"), redirect_stderr(StringIO()):
        source = SourceDataset.open(root)
        parts = preview(source, edits)
        whole = [part for part in parts if len(part) == source.length(part.episode)]
        cut = [part for part in parts if len(part) != source.length(part.episode)]
        pieces: list[Path] = []
        if whole:
            progress(f"{len(whole)} whole episodes")
            pieces.append(_kept(root, [part.episode for part in whole], len(source.episodes), folder / ".whole"))
        if cut:
            progress(f"{len(cut)} cut episodes")
            pieces.append(_cut(source, cut, folder / ".cut"))
        merged = [dataset_root(edit.dataset) for edit in edits if edit.kind == "merge"]
        progress("joining")
        result = _joined([*pieces, *merged], folder / ".joined")
        made = [*whole, *cut]
        words = {i: part.words for i, part in enumerate(made) if part.words != source.instruction(part.episode)}
        if words:
            _relabelled(result, words)
        _write_provenance(source, made, merged, result)
        count = len(SourceDataset.open(result).episodes)
        write_checksums(result, count, all_files(result))
        for path in result.iterdir():
            path.rename(folder / path.name)
        for left in [path for path in folder.iterdir() if path.name.startswith(".")]:
            shutil.rmtree(left)
    return count


def _lerobot(root: Path) -> Any:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    return LeRobotDataset(f"local/{root.name.lstrip('.')}", root=root)


def _kept(root: Path, episodes: list[int], total: int, out: Path) -> Path:
    """A dataset of some whole episodes, in the folder `out`."""
    from lerobot.datasets.dataset_tools import delete_episodes

    deleted = sorted(set(range(total)) - set(episodes))
    if deleted:
        delete_episodes(_lerobot(root), deleted, output_dir=out, repo_id="local/whole")
    else:
        shutil.copytree(root, out, ignore=shutil.ignore_patterns(".*"))
    return out


def _joined(pieces: list[Path], out: Path) -> Path:
    from lerobot.datasets.dataset_tools import merge_datasets

    if len(pieces) == 1:
        pieces[0].rename(out)
    else:
        merge_datasets([_lerobot(piece) for piece in pieces], "local/joined", output_dir=out)
    return out


def _relabelled(root: Path, words: dict[int, str]) -> None:
    from lerobot.datasets.dataset_tools import modify_tasks

    modify_tasks(_lerobot(root), episode_tasks=words)


def _cut(source: SourceDataset, parts: Sequence[Part], out: Path) -> Path:
    """A dataset of the cut episodes, their stored pictures copied as they are, videos encoded anew."""
    with DatasetWriter.of_features(out, source.features, source.fps, source.robot) as writer:
        for number, part in enumerate(parts):
            encoded = _encoded(source, part, writer.staging / f"cut-{number:06d}.parquet")
            writer.add_encoded(encoded, source.instruction(part.episode))
    return out


def _encoded(source: SourceDataset, part: Part, path: Path) -> EncodedEpisode:
    import pyarrow as pa
    import pyarrow.parquet as pq

    episode = source.read(part.episode)
    rows = episode.rows.slice(part.first, len(part))
    frames = np.arange(len(part), dtype=np.int64)
    for name, values in (("frame_index", frames), ("timestamp", (frames / source.fps).astype(np.float32))):
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(values))
    pq.write_table(rows, path, **parquet_options(source.features))
    numbers: dict[str, Array] = {"frame_index": frames, "timestamp": (frames / source.fps).astype(np.float32)}
    videos, stats = {}, {}
    for key, feature in source.features.items():
        if feature["dtype"] == "video":
            pictures = episode.frames[key.removeprefix(IMAGES)][part.first : part.end]
            videos[key] = _video(pictures, source.fps, path.with_name(f"{path.stem}.{key}.mp4"))
            stats[key] = _image_stats(pictures, depth=False)
        elif feature["dtype"] == "image":
            depth = is_depth(feature)
            mode = cv2.IMREAD_UNCHANGED if depth else cv2.IMREAD_COLOR_RGB
            stats[key] = _image_stats((decoded(data, mode) for data in each_encoded(rows[key])), depth=depth)
        else:
            numbers[key] = vectors(rows[key])
    return EncodedEpisode(path=path, length=len(part), videos=videos, vectors=numbers, image_stats=stats)


def _video(pictures: Array, fps: int, path: Path) -> Path:
    file = VideoFile(path, pictures.shape[1], pictures.shape[2], fps)
    for picture in pictures:
        file.add(picture)
    file.close()
    return path


def _image_stats(pictures: Any, *, depth: bool) -> Any:
    stats = ImageStats(1, np.uint16, 1.0) if depth else ImageStats(3, np.uint8, 255.0)
    for picture in pictures:
        stats.add(picture)
    return stats.result()


def _write_provenance(source: SourceDataset, parts: Sequence[Part], merged: Sequence[Path], result: Path) -> None:
    """Where every episode of the result is from; LeRobot's functions leave this file out."""
    lines: list[dict[str, Any]] = []
    for part in parts:
        known = source.provenance[part.episode] if part.episode < len(source.provenance) else {}
        line = {key: value for key, value in known.items() if key not in ("episode_index", "interventions")}
        line["edited"] = {"dataset": source.root.name, "episode": part.episode, "frames": [part.first, part.end]}
        if part.marked:
            line["success"] = part.success
        if ranges := known.get("interventions"):
            inside = [[max(a, part.first) - part.first, min(b, part.end) - part.first] for a, b in ranges]
            line["interventions"] = [pair for pair in inside if pair[0] < pair[1]]
        lines.append(line)
    for root in merged:
        lines += read_provenance(root) or [{"merged": root.name} for _ in SourceDataset.open(root).episodes]
    numbered = ({**line, "episode_index": number} for number, line in enumerate(lines))
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in numbered)
    atomic_write_text(result / PROVENANCE_PATH, text)


@contextmanager
def _datasets_cache(folder: Path) -> Iterator[None]:
    """LeRobot copies each dataset it opens into this cache, by default into the user's home."""
    import datasets

    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = folder
    try:
        yield
    finally:
        datasets.config.HF_DATASETS_CACHE = before
