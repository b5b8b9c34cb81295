"""One thing that does not fit, told so that a person can put it right."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """ERROR: the robot cannot be used like this. WARNING: it can, with less than it could have."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """what: the topic or joint; found, expected, fix: for people."""

    what: str
    found: str
    expected: str
    fix: str
    level: Level = Level.ERROR

    def __str__(self) -> str:
        head = f"{self.what}" if self.level is Level.ERROR else f"{self.what} ({self.level})"
        return f"{head}\n  found:    {self.found}\n  expected: {self.expected}\n  to do:    {self.fix}"
