"""Which files make up a bag: what `metadata.yaml` lists, else what lies there; several bags of one episode together."""

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from emma.bags.metadata import METADATA_NAME
from emma.errors import EmmaError

MCAP, SQLITE, PACKED = ".mcap", ".db3", ".zstd"
STORAGES = (MCAP, SQLITE)


class BagFile(NamedTuple):
    """One file. packed: all of it is compressed; messages_packed: each message is (rosbag2's two ways, both zstd)."""

    path: Path
    packed: bool
    messages_packed: bool


def bag_files(path: Path) -> list[BagFile]:
    """The files of the bag at `path`: a file, a rosbag2 folder, or a folder whose folders are bags of one episode.

    Raises EmmaError if there are none.
    """
    if path.is_file() and path.suffix in STORAGES:
        return [BagFile(path, False, False)]
    if not path.is_dir():
        raise EmmaError(
            f"no bag at {path}",
            found="a file of another kind" if path.exists() else "nothing",
            expected="a rosbag2 folder, a .mcap or a .db3 file",
            fix="check the path",
        )
    files = _in_folder(path) or [file for folder in find_bags(path) for file in _in_folder(folder)]
    if not files:
        raise EmmaError(
            f"{path} holds no bag",
            found=", ".join(sorted(f.name for f in path.iterdir())[:5]) or "an empty folder",
            expected="a .mcap or .db3 file",
        )
    return files


def find_bags(root: Path | str) -> list[Path]:
    """The folders at or below `root` that hold an episode or files of a bag, in order of their names."""
    root = Path(root)
    if not root.is_dir():
        found, fix = ("a file", "give the folder that it is in") if root.exists() else ("nothing", "check the path")
        raise EmmaError(f"no folder {root}", found=found, expected="a folder of bags", fix=fix)
    patterns = ("episode.yaml", METADATA_NAME, *(f"*{suffix}" for suffix in STORAGES))
    marks = {path.parent for pattern in patterns for path in root.rglob(pattern)}
    return sorted(
        folder for folder in marks if not any(part.startswith(".") for part in folder.relative_to(root).parts)
    )


def find_joined(root: Path | str) -> list[Path]:
    """The folders directly below `root` with bags in them, at any depth: each of them one episode."""
    root = Path(root)
    return sorted({root / folder.relative_to(root).parts[0] for folder in find_bags(root) if folder != root})


def _in_folder(folder: Path) -> list[BagFile]:
    information = _information(folder)
    mode = str(information.get("compression_mode") or "").lower()
    if mode == "file":
        return [BagFile(file, True, False) for file in sorted(folder.glob(f"*{PACKED}"))]
    # What metadata.yaml lists is taken in its order; without it, or with files that moved, what is there.
    listed = [folder / Path(name).name for name in information.get("relative_file_paths") or []]
    files = [file for file in listed if file.is_file() and file.suffix in STORAGES]
    files = files or sorted(file for file in folder.iterdir() if file.suffix in STORAGES)
    return [BagFile(file, False, mode == "message") for file in files]


def _information(folder: Path) -> dict[str, Any]:
    """What `metadata.yaml` says, or nothing where it is missing or broken."""
    try:
        raw = yaml.safe_load((folder / METADATA_NAME).read_text())
        information = raw["rosbag2_bagfile_information"]
    except (OSError, yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError):
        return {}
    return information if isinstance(information, dict) else {}
