"""The policies that were promoted: numbered bundles, one of them current, and a way back.

`versions/0003/` is a bundle with `version.json` in it; `versions/current` is a link that is replaced in one step, so
whoever opens it gets one version or the other; `versions/history.jsonl` says what was current from when on.
"""

import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from emma.cycle.manifest import now
from emma.errors import EmmaError
from emma.files import atomic_dir, atomic_write_text, fsync_dir, read_json_lines
from emma.policy.bundle import load_bundle
from emma.records import decode, encode

CURRENT, ABOUT, HISTORY = "current", "version.json", "history.jsonl"
NUMBER = re.compile(r"\d{4,}")
# A training run beside the weights: checkpoints and logs stay in the cycle's folder.
LEFT_OUT = ("training", ".*")


@dataclass(frozen=True, kw_only=True)
class Version:
    """before: the version that was current when this one was promoted, 0 for the first; cycle: 0 for the first."""

    VERSION: ClassVar[int] = 1
    number: int
    before: int = 0
    cycle: int = 0
    name: str = ""
    added: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)


class Versions:
    """The folder of versions. Only one process at a time may add; anyone may roll back."""

    def __init__(self, folder: Path, keep: int = 5) -> None:
        self.folder, self._keep = folder, keep

    def path(self, number: int) -> Path:
        return self.folder / f"{number:04d}"

    def numbers(self) -> list[int]:
        if not self.folder.is_dir():
            return []
        return sorted(int(p.name) for p in self.folder.iterdir() if NUMBER.fullmatch(p.name) and (p / ABOUT).is_file())

    def about(self, number: int) -> Version:
        """Raises EmmaError if there is no such version."""
        file = self.path(number) / ABOUT
        try:
            return decode(Version, file.read_bytes(), str(file))
        except OSError as error:
            there = ", ".join(map(str, self.numbers())) or "none"
            raise EmmaError(
                f"no version {number} in {self.folder}", found=type(error).__name__, expected=f"one of {there}"
            ) from None

    @property
    def current(self) -> int:
        """Number of the current version, 0 if there is none."""
        try:
            name = Path(os.readlink(self.folder / CURRENT)).name
        except OSError:
            return 0
        return int(name) if NUMBER.fullmatch(name) else 0

    def add(self, bundle: Path, *, cycle: int, before: int, figures: Mapping[str, Any]) -> int:
        """Copy `bundle` as the next version, which does not become current yet; a cycle's version is added once."""
        load_bundle(bundle)
        numbers = self.numbers()
        for number in reversed(numbers):
            about = self.about(number)
            if about.cycle == cycle and about.before == before:
                return number
        # Never the number of one that was removed: what a robot ran must stay nameable.
        number = max([*numbers, *(int(row["number"]) for row in self.history())], default=0) + 1
        version = Version(
            number=number, before=before, cycle=cycle, name=bundle.name, added=now(), figures=dict(figures)
        )
        with atomic_dir(self.path(number)) as aside:
            shutil.copytree(bundle, aside, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*LEFT_OUT, ABOUT))
            atomic_write_text(aside / ABOUT, encode(version, indent=2) + "\n")
        return number

    def promote(self, number: int, why: str) -> None:
        """Make a version current, in one step, and remove those that are no longer kept."""
        load_bundle(self.path(number))
        before = self.current
        if before == number:
            return
        aside = self.folder / f".{CURRENT}.{uuid.uuid4().hex[:8]}"
        aside.symlink_to(self.path(number).name)
        os.replace(aside, self.folder / CURRENT)
        fsync_dir(self.folder)
        self._remember(number, before, why)
        self._prune()

    def roll_back(self, to: int | None = None, why: str = "rolled back") -> tuple[int, int]:
        """Make the version before the current one current again, or version `to`. Returns (from, to)."""
        now = self.current
        if now == 0:
            raise EmmaError(
                f"nothing to roll back in {self.folder}", found="no current version", expected="a promoted policy"
            )
        target = self.about(now).before if to is None else to
        if target == 0:
            raise EmmaError(
                f"version {now} is the first", found="nothing before it", expected="a version that came before"
            )
        self.about(target)
        self.promote(target, why)
        return now, target

    def history(self) -> list[dict[str, Any]]:
        """What became current: {number, before, why, at}, oldest first."""
        file = self.folder / HISTORY
        return read_json_lines(file) if file.is_file() else []

    def _remember(self, number: int, before: int, why: str) -> None:
        rows = [*self.history(), {"number": number, "before": before, "why": why, "at": now()}]
        atomic_write_text(self.folder / HISTORY, "".join(json.dumps(row) + "\n" for row in rows))

    def _prune(self) -> None:
        numbers, now = self.numbers(), self.current
        kept = {now, self.about(now).before, *numbers[-self._keep :]}
        for number in numbers:
            if number not in kept:
                # Renamed first: half a bundle must not look like a version.
                gone = self.folder / f".{number:04d}.{time.monotonic_ns():x}"
                os.rename(self.path(number), gone)
                shutil.rmtree(gone, ignore_errors=True)
