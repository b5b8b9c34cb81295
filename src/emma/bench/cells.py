"""Long measurements in pieces that are kept: a bench that was interrupted goes on where it stopped."""

import hashlib
import json
from pathlib import Path
from typing import Any

from emma.files import atomic_write_text

ROOT = Path("runs/bench")


class Cells:
    """One JSON file a piece, in a folder for everything that decides the results.

    what: the bench; key: weights, settings, seed. Other ones give another folder, so nothing old is taken for new.
    """

    def __init__(self, what: str, key: Any, root: Path = ROOT) -> None:
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]
        self.folder = root / f"{what}-{digest}"
        self.folder.mkdir(parents=True, exist_ok=True)
        atomic_write_text(self.folder / "key.json", json.dumps(key, indent=2, sort_keys=True) + "\n")

    def get(self, name: str) -> dict[str, Any] | None:
        """What was kept under this name, None if nothing was."""
        file = self.folder / f"{name}.cell.json"
        return json.loads(file.read_text()) if file.is_file() else None

    def put(self, name: str, value: dict[str, Any]) -> None:
        """Keep a piece, whole or not at all."""
        atomic_write_text(self.folder / f"{name}.cell.json", json.dumps(value) + "\n")
