"""What a stage is given and what it gives back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emma.cycle.cycle import Cycle
from emma.cycle.manifest import Manifest
from emma.cycle.versions import Versions

# Done, of how many (0: not known), a note.
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class Made:
    """outputs: path below the stage's folder -> sha256; skipped: why there was nothing to do."""

    outputs: Mapping[str, str] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)
    skipped: str = ""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One stage of one cycle. folder: its own, with what an earlier attempt at the same work left in it."""

    folder: Path
    cycle: Cycle
    before: Mapping[str, Manifest]
    progress: Progress

    def made(self, stage: str, name: str) -> Path | None:
        """An output of an earlier stage, None if there is none."""
        return self.cycle.stage(stage) / name if name in self.before[stage].outputs else None

    @property
    def baseline(self) -> Path:
        """Bundle of the version to beat."""
        return versions_of(self.cycle).path(self.cycle.baseline)

    @property
    def candidate(self) -> Path:
        """Bundle that this cycle made."""
        return self.cycle.stage("export") / "bundle"


def versions_of(cycle: Cycle) -> Versions:
    """The versions beside this cycle."""
    return Versions(cycle.config.root / "versions", cycle.config.keep)
