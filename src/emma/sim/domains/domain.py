"""What a visual domain is: colours, the table's pattern, the light, and how far cameras are from where they belong."""

import math
from dataclasses import dataclass
from typing import Final

Rgb = tuple[float, float, float]

PARTS: Final = ("arm", "cube", "bin", "plate", "table", "floor")
ROLES: Final = ("source", "graded", "single", "unseen", "moved", "random")
PATTERNS: Final = ("plain", "checker", "speckled", "stripes")

COLORS: Final[dict[str, Rgb]] = {
    "red": (0.82, 0.13, 0.12),
    "orange": (0.95, 0.50, 0.10),
    "yellow": (0.95, 0.83, 0.18),
    "green": (0.18, 0.62, 0.24),
    "teal": (0.10, 0.60, 0.60),
    "blue": (0.14, 0.30, 0.78),
    "purple": (0.47, 0.22, 0.68),
    "pink": (0.95, 0.55, 0.70),
    "brown": (0.45, 0.28, 0.15),
    "white": (0.94, 0.94, 0.92),
    "grey": (0.52, 0.53, 0.55),
    "black": (0.11, 0.11, 0.12),
}
# Factors on every lamp; factors on its red, green and blue.
LEVELS: Final[dict[str, float]] = {"dim": 0.55, "normal": 1.0, "bright": 1.2}
TONES: Final[dict[str, Rgb]] = {"neutral": (1.0, 1.0, 1.0), "warm": (1.1, 0.9, 0.68), "cool": (0.78, 0.95, 1.15)}


@dataclass(frozen=True, kw_only=True)
class Domain:
    """One look of the desk. Colours are linear factors in 0..1; `accent` is the second colour of a patterned table.

    light_from: where the key light stands relative to its place in the source domain, m (x, y). cameras_moved_m,
    cameras_turned_deg: how far every camera is from its calibrated pose, another way in each episode.
    """

    name: str
    role: str
    arm: Rgb
    cube: Rgb
    bin: Rgb
    plate: Rgb
    table: Rgb
    floor: Rgb
    accent: Rgb
    pattern: str = "plain"
    level: float = 1.0
    tone: Rgb = (1.0, 1.0, 1.0)
    light_from: tuple[float, float] = (0.0, 0.0)
    texture_seed: int = 0
    cameras_moved_m: float = 0.0
    cameras_turned_deg: float = 0.0

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"role {self.role!r} is none of {', '.join(ROLES)}")
        if self.pattern not in PATTERNS:
            raise ValueError(f"pattern {self.pattern!r} is none of {', '.join(PATTERNS)}")
        for part in (*PARTS, "accent"):
            color = getattr(self, part)
            if len(color) != 3 or not all(0.0 <= c <= 1.0 for c in color):
                raise ValueError(f"{part} {color!r} is not three numbers in 0..1")
        if not 0.0 < self.level <= 2.0:
            raise ValueError(f"level {self.level!r} is not in (0, 2]")
        if not (0.0 <= self.cameras_moved_m <= 0.2 and 0.0 <= self.cameras_turned_deg <= 30.0):
            moved = f"{self.cameras_moved_m!r} m and {self.cameras_turned_deg!r} degrees"
            raise ValueError(f"cameras moved by {moved}, not by 0 to 0.2 m and 0 to 30 degrees")
        if len(self.tone) != 3 or not all(0.0 < t <= 2.0 for t in self.tone):
            raise ValueError(f"tone {self.tone!r} is not three numbers in (0, 2]")

    @property
    def words(self) -> dict[str, str]:
        """The look in words: a colour name for each part (and the accent, if patterned), pattern, level and tone."""
        words = {part: nearest_color(getattr(self, part)) for part in PARTS}
        if self.pattern != "plain":
            words["accent"] = nearest_color(self.accent)
        words["pattern"] = self.pattern
        words["level"] = min(LEVELS, key=lambda name: abs(math.log(LEVELS[name] / self.level)))
        words["tone"] = min(TONES, key=lambda name: math.dist(TONES[name], self.tone))
        return words

    @property
    def caption(self) -> str:
        """One sentence that says the whole look, foreground first, then background, then light."""
        w = self.words
        table = f"{w['table']} and {w['accent']} {w['pattern']}" if "accent" in w else f"plain {w['table']}"
        return (
            f"a {w['arm']} robot arm, a {w['cube']} cube, a {w['bin']} bin and a {w['plate']} plate "
            f"on a {table} table, {w['floor']} floor, {w['level']} {w['tone']} light"
        )


def nearest_color(color: Rgb) -> str:
    """The name of the closest of the twelve COLORS."""
    return min(COLORS, key=lambda name: math.dist(COLORS[name], color))
