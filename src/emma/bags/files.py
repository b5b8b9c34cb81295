"""Which files make up a bag: what `metadata.yaml` lists, else what lies there; several bags of one episode together."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from emma.bags.episode import EPISODE_NAME
from emma.bags.metadata import METADATA_NAME
from emma.bags.packing import PACKED
from emma.errors import EmmaError

MCAP, SQLITE = ".mcap", ".db3"
STORAGES = (MCAP, SQLITE)


@dataclass(frozen=True, kw_only=True)
class BagPart:
    """The files of one rosbag2 folder, in the order of their numbers, and what its `metadata.yaml` promises.

    counts: messages by topic, None without a metadata.yaml; damage: listed files that are gone; notes: what was
    guessed.
    """

    files: tuple[Path, ...]
    counts: Mapping[str, int] | None = None
    damage: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class _Listing:
    """What one folder's metadata.yaml lists."""

    names: list[str] = field(default_factory=list)
    counts: dict[str, int] | None = None
    note: str = ""


def bag_parts(path: Path) -> list[BagPart]:
    """The parts of the bag at `path`: a file, a rosbag2 folder, or a folder whose folders are bags of one episode.

    Raises EmmaError if there are none.
    """
    if path.is_file() and storage_of(path):
        return [BagPart(files=(path,))]
    if not path.is_dir():
        raise EmmaError(
            f"no bag at {path}",
            found="a file of another kind" if path.exists() else "nothing",
            expected="a rosbag2 folder, a .mcap or a .db3 file",
            fix="check the path",
        )
    parts = [part for folder in ([path] if storage_files(path) else find_bags(path)) if (part := _part(folder)).files]
    if not parts:
        raise EmmaError(
            f"{path} holds no bag",
            found=", ".join(sorted(f.name for f in path.iterdir())[:5]) or "an empty folder",
            expected="a .mcap or .db3 file",
        )
    return parts


def bag_files(path: Path) -> list[Path]:
    """The files of the bag at `path`. Raises EmmaError if there are none."""
    return [file for part in bag_parts(path) for file in part.files]


def storage_of(path: Path) -> str:
    """The storage that a file's name promises, compressed or not: `.mcap`, `.db3`, or ""."""
    name = path.name.removesuffix(PACKED)
    return next((suffix for suffix in STORAGES if name.endswith(suffix) and name != suffix), "")


def storage_files(folder: Path) -> list[Path]:
    """The files of a folder that hold messages, in the order of the numbers in their names."""
    try:
        return sorted((file for file in folder.iterdir() if storage_of(file) and file.is_file()), key=_by_number)
    except OSError as error:
        raise EmmaError(f"cannot look into {folder}", found=error.strerror, expected="a folder to read") from None


def find_bags(root: Path | str) -> list[Path]:
    """The folders at or below `root` that hold an episode or files of a bag, by name. Links are followed."""
    root = Path(root)
    if not root.is_dir():
        found, fix = ("a file", "give the folder that it is in") if root.exists() else ("nothing", "check the path")
        raise EmmaError(f"no folder {root}", found=found, expected="a folder of bags", fix=fix)
    return sorted(folder for folder, names in _folders(root) if any(map(_marks_a_bag, names)))


def find_joined(root: Path | str) -> list[Path]:
    """The folders directly below `root` with bags in them, at any depth: each of them one episode."""
    root = Path(root)
    return sorted({root / folder.relative_to(root).parts[0] for folder in find_bags(root) if folder != root})


def _folders(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Every folder once, hidden ones left out, with the names of its files: a link may lead back to where it lies."""
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        # Real folders before links to them, so that a bag goes by its own name.
        folders[:] = sorted((f for f in folders if not f.startswith(".")), key=lambda f: (_is_link(folder, f), f))
        yield Path(folder), names


def _is_link(folder: str, name: str) -> bool:
    return os.path.islink(os.path.join(folder, name))


def _marks_a_bag(name: str) -> bool:
    return name in (EPISODE_NAME, METADATA_NAME) or (not name.startswith(".") and bool(storage_of(Path(name))))


def metadata_problem(folder: Path) -> str:
    """Why the folder's `metadata.yaml` is no use, "" if it is."""
    return _listing(folder).note if (folder / METADATA_NAME).exists() else f"no {METADATA_NAME}"


def _part(folder: Path) -> BagPart:
    there, notes, damage = storage_files(folder), [], []
    listing = _listing(folder)
    if listing.note:
        notes.append(listing.note)
    files: list[Path] = []
    for name in dict.fromkeys(listing.names):
        found = _listed(folder, name)
        if found is None:
            damage.append(f"{name} is gone: {METADATA_NAME} lists {len(listing.names)} files")
        elif found not in files:
            files.append(found)
    if listing.names and not files and there:
        # Files that were renamed: none of the listed names is there.
        notes.append(f"{METADATA_NAME} lists other names; the files that are there are read")
        damage.clear()
    if not files:
        files = _without_twins(there, notes)
    elif extra := [file.name for file in there if file not in files and not _is_twin(file, files)]:
        notes.append(f"left out, because {METADATA_NAME} does not list it: {', '.join(extra)}")
    return BagPart(files=tuple(files), counts=listing.counts, damage=tuple(damage), notes=tuple(notes))


def _listed(folder: Path, name: str) -> Path | None:
    """The file that metadata.yaml calls `name`, which may since have been compressed, or not yet."""
    path = folder / Path(name).name
    for candidate in (path, path.with_name(path.name.removesuffix(PACKED)), path.with_name(f"{path.name}{PACKED}")):
        if candidate.is_file() and storage_of(candidate):
            return candidate
    return None


def _is_twin(file: Path, files: list[Path]) -> bool:
    """Whether `file` is the compressed or plain twin of one that is read."""
    other = file.name.removesuffix(PACKED) if file.name.endswith(PACKED) else f"{file.name}{PACKED}"
    return file.with_name(other) in files


def _without_twins(files: list[Path], notes: list[str]) -> list[Path]:
    """A file beside its own compressed version: rosbag2 was killed before it removed one of them."""
    plain = [file for file in files if not (file.name.endswith(PACKED) and _is_twin(file, files))]
    if len(plain) < len(files):
        notes.append("compressed files beside their plain version are left out")
    return plain


def _by_number(path: Path) -> list[tuple[int, str]]:
    """bag_2 before bag_10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _listing(folder: Path) -> _Listing:
    """What `metadata.yaml` states; a note where it is there and cannot be read."""
    path = folder / METADATA_NAME
    if not path.exists():
        return _Listing()
    try:
        # libyaml's loader: a split bag's file takes the other one a second.
        information = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)["rosbag2_bagfile_information"]
        names = [str(name) for name in information.get("relative_file_paths") or []]
        return _Listing(names, _counts(information))
    except OSError as error:
        return _Listing(note=f"{METADATA_NAME} cannot be read ({error.strerror}): what it promises is not known")
    except Exception as error:  # YAML of any shape
        return _Listing(note=f"{METADATA_NAME} is damaged ({type(error).__name__}): what it promises is not known")


def _counts(information: Mapping[str, Any]) -> dict[str, int] | None:
    topics = information.get("topics_with_message_count")
    if topics is None:
        return None
    counts: dict[str, int] = {}
    for topic in topics:
        name = str(topic["topic_metadata"]["name"])
        counts[name] = counts.get(name, 0) + int(topic["message_count"])
    return counts
