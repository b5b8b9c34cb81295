"""One cycle: what it began with, frozen, and where its stages lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from emma.cycle.config import ImproveConfig
from emma.cycle.inventory import Inventory
from emma.cycle.manifest import now
from emma.errors import EmmaError
from emma.files import atomic_write_text
from emma.records import decode, encode

NAME, RESULT = "cycle.json", "result.json"


@dataclass(frozen=True, kw_only=True)
class Cycle:
    """baseline: the version to beat; earlier: converted datasets of the cycles before; known: ids of all episodes that
    they took stock of."""

    VERSION: ClassVar[int] = 2
    number: int
    config: ImproveConfig
    baseline: int
    inventory: Inventory
    earlier: tuple[str, ...] = ()
    began: str = ""

    @property
    def folder(self) -> Path:
        return cycles_folder(self.config) / f"{self.number:04d}"

    def stage(self, name: str) -> Path:
        return self.folder / name

    @property
    def seed(self) -> int:
        """Another one for every cycle."""
        return self.config.seed + self.number

    def save(self) -> None:
        atomic_write_text(self.folder / NAME, encode(self, indent=2) + "\n")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a cycle ended. promoted: the new version, 0 if it was not better; report: the file to read."""

    VERSION: ClassVar[int] = 1
    cycle: int
    promoted: int
    baseline: int
    report: str = ""
    gain: float | None = None
    interval: tuple[float, float] | None = None
    reasons: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


def cycles_folder(config: ImproveConfig) -> Path:
    return config.root / "cycles"


def load_cycle(folder: Path) -> Cycle:
    """Raises EmmaError if `folder` holds no cycle."""
    file = folder / NAME
    try:
        return decode(Cycle, file.read_bytes(), str(file))
    except OSError as error:
        raise EmmaError(f"{file} cannot be read", found=error, expected="what `emma improve` writes") from None


def cycles(config: ImproveConfig) -> list[Path]:
    """Folders of all cycles, oldest first."""
    root = cycles_folder(config)
    return sorted(p for p in root.iterdir() if (p / NAME).is_file()) if root.is_dir() else []


def outcome(folder: Path) -> Outcome | None:
    """How the cycle in `folder` ended, None while it has not."""
    file = folder / RESULT
    if not file.is_file():
        return None
    return decode(Outcome, file.read_bytes(), str(file))


def finish(folder: Path, ended: Outcome) -> None:
    """Say how a cycle ended; with this it is over."""
    atomic_write_text(folder / RESULT, encode(ended, indent=2) + "\n")


def new_cycle(config: ImproveConfig, number: int, baseline: int, inventory: Inventory, earlier: Sequence[str]) -> Cycle:
    """Write down what a cycle begins with."""
    cycle = Cycle(
        number=number,
        config=config,
        baseline=baseline,
        inventory=inventory,
        earlier=tuple(earlier),
        began=now(),
    )
    cycle.save()
    return cycle
