"""What a stage did: written last, so that a folder with a manifest is a stage that is done."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from emma.datasets.files import dataset_root
from emma.errors import EmmaError
from emma.files import atomic_write_text, sha256_tree
from emma.records import decode, encode

NAME, BEGUN = "manifest.json", "begun.json"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What decides a stage's result. version: of the stage's own code, counted up when it comes to other results."""

    stage: str
    version: int
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    seed: int

    @property
    def key(self) -> str:
        """Hex digest: the same for the same work."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A finished stage. outputs: path below the stage's folder, or name, -> sha256; results: figures, as JSON has them.

    skipped: why there was nothing to do, "" otherwise; seconds: of the attempt that finished; attempts: starts in all;
    key: the plan's, in the file.
    """

    VERSION: ClassVar[int] = 2
    plan: Plan
    outputs: Mapping[str, str] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)
    skipped: str = ""
    seconds: float = 0.0
    attempts: int = 1
    finished: str = ""
    commit: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""

    def save(self, folder: Path) -> None:
        atomic_write_text(folder / NAME, encode(replace(self, key=self.plan.key), indent=2) + "\n")


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A stage that was begun and may not be done. attempts: starts so far."""

    VERSION: ClassVar[int] = 1
    plan: Plan
    attempts: int


def now() -> str:
    """This moment in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def load_manifest(folder: Path) -> Manifest | None:
    """The manifest of a stage's folder, None if it is not done. Raises EmmaError for a file that is no manifest."""
    file = folder / NAME
    if not file.is_file():
        return None
    fix = f"remove {folder}: the stage is then done again"
    try:
        manifest = decode(Manifest, file.read_bytes(), str(file))
    except EmmaError as error:
        raise EmmaError(error.problem, found=error.found, expected=error.expected, fix=fix) from None
    if manifest.plan.key != manifest.key:
        raise EmmaError(f"{file} was changed", found="another plan than its key", expected="as written", fix=fix)
    return manifest


def done(folder: Path, plan: Plan) -> Manifest | None:
    """The manifest if `folder` holds exactly this work, with its outputs still in place."""
    manifest = load_manifest(folder)
    if manifest is None or manifest.plan.key != plan.key:
        return None
    return manifest if all((folder / name).exists() for name in manifest.outputs) else None


def begin(folder: Path, plan: Plan) -> int:
    """Make `folder` ready for this work and return which attempt it is.

    What an earlier attempt at the same work left is kept, to go on from; anything else is removed.
    """
    attempts = 1
    try:
        before = load_begun(folder)
        if before.plan.key == plan.key:
            attempts += before.attempts
    except (OSError, EmmaError):  # never begun, or by another version of emma
        pass
    if attempts == 1:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME).unlink(missing_ok=True)
    atomic_write_text(folder / BEGUN, encode(Begun(plan=plan, attempts=attempts), indent=2) + "\n")
    return attempts


def load_begun(folder: Path) -> Begun:
    """Raises OSError for a folder in which nothing was begun, EmmaError for a file that is not what `begin` writes."""
    return decode(Begun, (folder / BEGUN).read_bytes(), str(folder / BEGUN))


def dataset_hash(root: Path | str) -> str:
    """Hex digest of a LeRobotDataset by its folder `meta`, which has statistics of every episode's pictures."""
    return sha256_tree(dataset_root(root) / "meta")
