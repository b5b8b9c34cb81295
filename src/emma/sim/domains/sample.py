"""Random looks of the desk from named properties, so that a caption says all of a look."""

import math
from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from emma.sim.domains.domain import COLORS, LEVELS, PARTS, TONES, Domain, Rgb
from emma.sim.domains.load import Combination, held_out_combinations

RANDOM_PATTERNS: Final = ("plain", "checker", "speckled")

# Things that must be told apart, and the least RGB distance between them.
_APART: Final = (
    ("cube", "table"),
    ("cube", "accent"),
    ("cube", "bin"),
    ("cube", "plate"),
    ("bin", "plate"),
    ("bin", "table"),
    ("plate", "table"),
)
_MIN_DISTANCE: Final = 0.35
_MAX_TRIES: Final = 10_000


def random_domain(
    rng: np.random.Generator, *, exclude: Iterable[Combination] | None = None, jitter: float = 0.0
) -> Domain:
    """A random look: one of twelve colours a part, a table pattern, a light level and tone.

    exclude: combinations of words never to draw; by default those that the unseen domains keep for evaluation.
    jitter: uniform change of each colour channel, 0..1, after the draw; a small one (0.05) leaves the words true.
    """
    forbidden = tuple(held_out_combinations() if exclude is None else exclude)
    names = tuple(COLORS)
    for _ in range(_MAX_TRIES):
        words = {part: names[rng.integers(len(names))] for part in (*PARTS, "accent")}
        pattern = RANDOM_PATTERNS[rng.integers(len(RANDOM_PATTERNS))]
        level = tuple(LEVELS)[rng.integers(len(LEVELS))]
        tone = tuple(TONES)[rng.integers(len(TONES))]
        seed = int(rng.integers(2**31))
        shift = rng.uniform(-jitter, jitter, (len(words), 3))
        if pattern == "plain":
            words["accent"] = words["table"]
        if not _distinct(words, pattern):
            continue
        described = {**words, "pattern": pattern, "level": level, "tone": tone}
        if any(all(described.get(key) == word for key, word in combination.items()) for combination in forbidden):
            continue
        colors: dict[str, Any] = {
            part: _shifted(COLORS[word], shift[i]) for i, (part, word) in enumerate(words.items())
        }
        return Domain(
            name=f"random_{seed}",
            role="random",
            pattern=pattern,
            level=LEVELS[level],
            tone=TONES[tone],
            texture_seed=seed,
            **colors,
        )
    raise ValueError(f"no look without the excluded combinations in {_MAX_TRIES} draws: {forbidden}")


def _distinct(words: dict[str, str], pattern: str) -> bool:
    if pattern != "plain" and words["accent"] == words["table"]:
        return False
    return all(math.dist(COLORS[words[a]], COLORS[words[b]]) >= _MIN_DISTANCE for a, b in _APART)


def _shifted(color: Rgb, shift: np.ndarray) -> Rgb:
    r, g, b = np.clip(np.asarray(color) + shift, 0.0, 1.0).tolist()
    return (r, g, b)
