"""What a stage did: written last, so that a folder with a manifest is a stage that is done."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from emma.datasets.files import dataset_root
from emma.errors import EmmaError
from emma.files import atomic_write_text, sha256_tree

NAME, BEGUN = "manifest.json", "begun.json"
FORMAT = 1


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

    skipped: why there was nothing to do, "" otherwise; seconds: of the attempt that finished; attempts: starts in all.
    """

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
    format: int = FORMAT

    def save(self, folder: Path) -> None:
        atomic_write_text(folder / NAME, json.dumps({"key": self.plan.key, **asdict(self)}, indent=2) + "\n")


def now() -> str:
    """This moment in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def load_manifest(folder: Path) -> Manifest | None:
    """The manifest of a stage's folder, None if it is not done. Raises EmmaError for a file that is no manifest."""
    file = folder / NAME
    if not file.is_file():
        return None
    try:
        raw = json.loads(file.read_text())
        key = raw.pop("key")
        manifest = Manifest(**{**raw, "plan": Plan(**raw["plan"])})
        if raw["format"] != FORMAT or manifest.plan.key != key:
            raise ValueError("its key is not that of its content")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise EmmaError(
            f"{file} cannot be read",
            found=f"{type(error).__name__}: {error}",
            expected="what `emma improve` writes",
            fix=f"remove {folder}: the stage is then done again",
        ) from None
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
    before: dict[str, Any] = {}
    if (folder / BEGUN).is_file():
        before = json.loads((folder / BEGUN).read_text())
    if before.get("key") != plan.key:
        before = {}
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME).unlink(missing_ok=True)
    attempt = int(before.get("attempts", 0)) + 1
    atomic_write_text(
        folder / BEGUN, json.dumps({"key": plan.key, "attempts": attempt, **asdict(plan)}, indent=2) + "\n"
    )
    return attempt


def dataset_hash(root: Path | str) -> str:
    """Hex digest of a LeRobotDataset by its folder `meta`, which has statistics of every episode's pictures."""
    return sha256_tree(dataset_root(root) / "meta")
