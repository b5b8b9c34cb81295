"""One cycle: what it began with, frozen, and where its stages lie."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from emma.cycle.config import ImproveConfig
from emma.cycle.inventory import Inventory
from emma.cycle.manifest import now
from emma.errors import EmmaError
from emma.files import atomic_write_text
from emma.options import build

NAME, RESULT = "cycle.json", "result.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Cycle:
    """baseline: the version to beat; earlier: converted datasets of the cycles before; known: ids of all episodes that
    they took stock of."""

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
        values = {
            "format": FORMAT,
            "number": self.number,
            "baseline": self.baseline,
            "earlier": list(self.earlier),
            "began": self.began,
            "inventory": self.inventory.to_json(),
            "config": asdict(self.config),
        }
        atomic_write_text(self.folder / NAME, json.dumps(values, indent=2) + "\n")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a cycle ended. promoted: the new version, 0 if it was not better; report: the file to read."""

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
        raw = json.loads(file.read_text())
        if raw["format"] != FORMAT:
            raise ValueError(f"format {raw['format']}, not {FORMAT}")
        return Cycle(
            number=raw["number"],
            config=build(ImproveConfig, raw["config"], str(file)),
            baseline=raw["baseline"],
            inventory=Inventory.from_json(raw["inventory"]),
            earlier=tuple(raw["earlier"]),
            began=raw["began"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EmmaError(
            f"{file} cannot be read", found=f"{type(error).__name__}: {error}", expected="what `emma improve` writes"
        ) from None


def cycles(config: ImproveConfig) -> list[Path]:
    """Folders of all cycles, oldest first."""
    root = cycles_folder(config)
    return sorted(p for p in root.iterdir() if (p / NAME).is_file()) if root.is_dir() else []


def outcome(folder: Path) -> Outcome | None:
    """How the cycle in `folder` ended, None while it has not."""
    file = folder / RESULT
    if not file.is_file():
        return None
    raw = json.loads(file.read_text())
    raw["reasons"] = tuple(raw["reasons"])
    raw["interval"] = tuple(raw["interval"]) if raw["interval"] else None
    return Outcome(**raw)


def finish(folder: Path, ended: Outcome) -> None:
    """Say how a cycle ended; with this it is over."""
    atomic_write_text(folder / RESULT, json.dumps(asdict(ended), indent=2) + "\n")


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
