"""What a run's AdaMix did, one JSON line an evaluation: everything its pictures are drawn from."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emma.files import atomic_write_text, read_json_lines

FOLDER, HISTORY, EPISODES = "adamix", "history.jsonl", "episodes.json"


def write_episodes(folder: Path, names: Sequence[str]) -> None:
    """What the columns of the history stand for: `names` of the episodes, in order."""
    atomic_write_text(folder / EPISODES, json.dumps(list(names)) + "\n")


def append(folder: Path, row: dict[str, Any]) -> None:
    with (folder / HISTORY).open("a") as file:
        file.write(json.dumps(row) + "\n")


def read(folder: Path) -> list[dict[str, Any]]:
    """Rows in order; empty without a history."""
    file = folder / HISTORY
    return read_json_lines(file) if file.is_file() else []


def truncate(folder: Path, step: int) -> None:
    """Drop rows of step `step` and later: a resumed training does those again."""
    rows = [row for row in read(folder) if row["step"] < step]
    atomic_write_text(folder / HISTORY, "".join(json.dumps(row) + "\n" for row in rows))


def hardest(row: dict[str, Any], count: int) -> list[int]:
    """Numbers of the `count` episodes with the lowest performance, the hardest first."""
    p = row["performance"]
    return sorted(range(len(p)), key=lambda episode: (p[episode], episode))[:count]
