"""SHA-256 of every file of a dataset that was written here: what tells a changed byte from a true one.

Tables and videos of LeRobot have no checksums. `meta/checksums.json` holds them for the datasets of this project; other
programs pass it over. It is written last: one for another number of episodes is left over and not compared.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from emma.errors import EmmaError
from emma.files import atomic_write_text, sha256_file

CHECKSUMS_PATH = "meta/checksums.json"


def write_checksums(root: Path, episodes: int, files: Mapping[str, str]) -> None:
    """files: name below `root` -> hex digest."""
    atomic_write_text(root / CHECKSUMS_PATH, json.dumps({"episodes": episodes, "sha256": dict(sorted(files.items()))}))


def all_files(root: Path) -> dict[str, str]:
    """The digests of a whole dataset."""
    files = [path for part in ("data", "meta", "videos") for path in (root / part).rglob("*") if path.is_file()]
    names = {path.relative_to(root).as_posix(): path for path in files if not path.name.startswith(".")}
    return {name: sha256_file(path) for name, path in sorted(names.items()) if name != CHECKSUMS_PATH}


def read_checksums(root: Path) -> tuple[int, dict[str, str]] | None:
    """The number of episodes and the digests; None for a dataset without. Raises EmmaError for a broken file."""
    path = root / CHECKSUMS_PATH
    if not path.is_file():
        return None
    try:
        raw = json.loads(path.read_text())
        return int(raw["episodes"]), {str(name): str(digest) for name, digest in raw["sha256"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise EmmaError(f"{path} cannot be read", found=f"{type(error).__name__}: {error}") from None


def changed_files(root: Path, digests: Mapping[str, str]) -> Iterator[str]:
    """The files that differ from their digest, or are gone."""
    for name, digest in digests.items():
        try:
            if sha256_file(root / name) != digest:
                yield name
        except OSError:
            yield name
