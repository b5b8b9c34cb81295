"""Files that are either whole or not there: write aside, then rename."""

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Buffer, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emma.errors import EmmaError

# The disk, a quota, or the largest file allowed.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def fsync_dir(folder: Path) -> None:
    """Make a rename inside `folder` survive a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def atomic_write_bytes(path: Path | str, data: Buffer) -> None:
    """Write `data` to `path` so that a reader sees the old content or the new one, never a part."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    fsync_dir(path.parent)


def atomic_write_text(path: Path | str, text: str) -> None:
    """`atomic_write_bytes` for UTF-8 text."""
    atomic_write_bytes(path, text.encode())


def no_room(error: BaseException | None) -> str:
    """What says that something did not fit on the disk, `error` or what caused it; empty if nothing does.

    safetensors and torch say so in words only.
    """
    while isinstance(error, Exception):
        if error.errno in NO_ROOM if isinstance(error, OSError) else any(os.strerror(n) in str(error) for n in NO_ROOM):
            return str(error)
        error = error.__cause__ or error.__context__
    return ""


@contextmanager
def room_for(what: str, fix: str) -> Iterator[None]:
    """Raise EmmaError where the block finds no room for `what`; other errors pass."""
    try:
        yield
    except EmmaError:
        raise
    except Exception as error:
        if found := no_room(error):
            raise EmmaError(f"no room for {what}", found=found, expected="a disk with room", fix=fix) from error
        raise


@contextmanager
def atomic_dir(path: Path | str) -> Iterator[Path]:
    """Yield a new folder beside `path`; it becomes `path` when the block ends well, else it is removed.

    Raises FileExistsError if `path` exists when the block ends.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    aside.mkdir()
    try:
        yield aside
        if path.exists():
            raise FileExistsError(path)
        os.rename(aside, path)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    fsync_dir(path.parent)


def read_json_lines(path: Path | str) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file. A last line that a killed writer left torn is not among them."""
    rows = []
    lines = Path(path).read_text().splitlines()
    for number, line in enumerate(lines):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            if number < len(lines) - 1:
                raise
    return rows


def sha256_file(path: Path | str) -> str:
    """Hex digest of one file's content."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_tree(path: Path | str) -> str:
    """Hex digest of a file, or of every file below a folder with its relative name, hidden files left out."""
    path = Path(path)
    if path.is_file():
        return sha256_file(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        name = file.relative_to(path)
        if any(part.startswith(".") for part in name.parts):
            continue
        digest.update(f"{name.as_posix()}\0{sha256_file(file)}\n".encode())
    return digest.hexdigest()
