"""Which recorded episodes there are, and which of them a cycle learns from."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from emma.bags.episode import EpisodeMeta, is_episode
from emma.cycle.config import ConvertSettings
from emma.errors import EmmaError
from emma.files import sha256_file

STORED = (".mcap", ".db3", ".zstd")


@dataclass(frozen=True, kw_only=True)
class Episode:
    """A bag to learn from. sha256: of its message files and what `episode.yaml` says that matters for training."""

    id: str
    path: str
    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """episodes: to learn from, in order of their ids; passed: id -> why not, for those that were left out."""

    episodes: tuple[Episode, ...] = ()
    passed: Mapping[str, str] = field(default_factory=dict)


def take_stock(roots: Sequence[str | Path], settings: ConvertSettings, robot: str, known: Iterable[str]) -> Inventory:
    """Episodes at or below `roots` that are finished, wanted, and not among the `known` ids.

    Those that are still being recorded are left for the next time without a word. Raises EmmaError for a missing root.
    """
    from emma.bags.files import find_bags  # brings the readers of bags, which a stage's process has no use for

    known, found, passed = set(known), {}, {}
    for root in roots:
        for folder in find_bags(root):
            name, why = _judge(folder, settings, robot)
            if name in known or name in found or why is None:
                continue
            if why:
                passed[name] = why
            else:
                found[name] = _episode(name, folder)
    return Inventory(episodes=tuple(found[name] for name in sorted(found)), passed=dict(sorted(passed.items())))


def _judge(folder: Path, settings: ConvertSettings, robot: str) -> tuple[str, str | None]:
    """Name, and "" to take it, a reason to leave it, or None for one that is not finished yet."""
    if not is_episode(folder):
        return folder.name, "no episode.yaml: the instruction is unknown"
    try:
        meta = EpisodeMeta.load(folder)
    except EmmaError as error:
        return folder.name, f"{error.problem}: {error.found}"
    why: str | None = ""
    if meta.state == "recording":
        why = None
    elif meta.state == "discarded":
        why = "discarded"
    elif meta.robot != robot:
        why = f"of robot {meta.robot}"
    elif meta.state == "recovered" and not settings.keep_recovered:
        why = "cut short by a crash"
    elif meta.kind not in settings.kinds:
        why = f"of kind {meta.kind}"
    elif meta.success is False and not settings.keep_failed:
        why = "failed"
    elif meta.kind == "policy" and meta.success is not True and not settings.keep_failed:
        why = "a policy's own, not marked as a success"
    elif not meta.instruction.strip():
        why = "no instruction"
    return meta.id, why


def _episode(name: str, folder: Path) -> Episode:
    meta = EpisodeMeta.load(folder)
    digest = hashlib.sha256(json.dumps([meta.instruction, meta.kind, meta.success]).encode())
    size = 0
    for file in sorted(p for p in folder.iterdir() if p.suffix in STORED):
        digest.update(sha256_file(file).encode())
        size += file.stat().st_size
    return Episode(id=name, path=str(folder.resolve()), sha256=digest.hexdigest(), size=size)


def held_out(episodes: Sequence[str], share: float) -> frozenset[str]:
    """Which ids are kept from training: each by its own hash, so that it stays so whatever else is recorded."""
    return frozenset(
        name for name in episodes if int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) < share * 2**32
    )
