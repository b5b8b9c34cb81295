"""Trainings and cycles of improvement below the given folders, read from the files that they write. Needs no ROS."""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emma.adamix import history
from emma.cycle.report import DATA
from emma.errors import EmmaError
from emma.files import read_json_lines

# The names that `emma.training` uses; its modules import torch, which the console does without.
LOG, CONFIG = "log.jsonl", "train.json"
TRAINING, GATE = "training", "gate"
# Points of a curve that reach the page: more than it has pixels.
POINTS = 1500
HARDEST = 10


@dataclass(frozen=True, kw_only=True)
class Run:
    """A training's folder, or a cycle's."""

    id: str
    kind: str
    path: Path


class Runs:
    """What was trained and judged. Methods block; they may be called from several threads."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folder.resolve() for folder in folders)

    def all(self) -> list[dict[str, Any]]:
        """A row for each, the newest first. What cannot be read has its reason in `problem`."""
        rows = []
        for run in self._found():
            about = {"id": run.id, "kind": run.kind, "name": self._name(run)}
            try:
                rows.append({**about, "problem": "", **(_training(run) if run.kind == TRAINING else _gate(run))})
            except (OSError, ValueError, KeyError, TypeError, EmmaError) as error:
                rows.append({**about, "problem": f"{type(error).__name__}: {error}", "changed_s": 0.0})
        return sorted(rows, key=lambda row: -row["changed_s"])

    def curves(self, key: str) -> dict[str, Any]:
        """Of one training: columns of its log by name, and what AdaMix did. Raises EmmaError for an unknown id."""
        run = next((run for run in self._found() if run.id == key and run.kind == TRAINING), None)
        if run is None:
            raise EmmaError("no such training", found=key, expected="an id from the list")
        rows = read_json_lines(run.path / LOG)
        rows = rows[:: max(1, len(rows) // POINTS)]
        columns = {name: [row.get(name) for row in rows] for name in ("step", "loss", "lr", "samples_per_s")}
        return {"log": columns, "adamix": _adamix(run.path / history.FOLDER)}

    def _found(self) -> Iterator[Run]:
        for kind, name in ((TRAINING, LOG), (GATE, DATA)):
            for folder in self._folders:
                for file in sorted(folder.rglob(name)) if folder.is_dir() else ():
                    path = file.parent.resolve()
                    # A link that leads out of the folders is not followed; nor is a training copied into a version.
                    if path.is_relative_to(folder) and (kind == GATE or (path / CONFIG).is_file()):
                        yield Run(id=hashlib.sha256(str(path).encode()).hexdigest()[:16], kind=kind, path=path)

    def _name(self, run: Run) -> str:
        root = next(folder for folder in self._folders if run.path.is_relative_to(folder))
        path = run.path.parent if run.kind == TRAINING and run.path.name == TRAINING else run.path
        return str(path.relative_to(root)) if path != root else path.name


def _training(run: Run) -> dict[str, Any]:
    """Step, loss, rate and time left of a training, from the last line of its log."""
    config = json.loads((run.path / CONFIG).read_text())
    rows = read_json_lines(run.path / LOG)
    steps, changed = int(config["steps"]), (run.path / LOG).stat().st_mtime
    if not rows:
        return {"step": 0, "steps": steps, "changed_s": changed, "age_s": time.time() - changed}
    last = rows[-1]
    rate, left = float(last["samples_per_s"]), (steps - int(last["step"])) * int(config["batch_size"])
    return {
        "step": int(last["step"]),
        "steps": steps,
        "loss": last["loss"],
        "samples_per_s": rate,
        "seconds_left": left / rate if rate > 0 else None,
        "policy": str(config.get("policy", "")),
        "changed_s": changed,
        "age_s": time.time() - changed,
    }


def _gate(run: Run) -> dict[str, Any]:
    """What a cycle's comparison found, as its report has it."""
    report = json.loads((run.path / DATA).read_text())
    verdict: Mapping[str, Any] = report["verdict"]
    keys = ("promote", "gain", "interval", "p", "trials", "starts", "reasons", "groups", "measure")
    return {
        "cycle": int(report["cycle"]),
        "baseline": report["baseline"],
        **{key: verdict[key] for key in keys},
        "stages": list(report["stages"].values()),
        "changed_s": (run.path / DATA).stat().st_mtime,
    }


def _adamix(folder: Path) -> dict[str, Any] | None:
    """The weights of the newest evaluation and the hardest episodes; None where AdaMix did nothing."""
    rows = history.read(folder)
    if not rows:
        return None
    row = rows[-1]
    names = json.loads((folder / history.EPISODES).read_text())
    count = len(row["weights"])
    names = [str(names[i]) if i < len(names) else f"episode {i}" for i in range(count)]
    return {
        "step": row["step"],
        "effective": row["effective"],
        "resets": row["resets"],
        "weights": row["weights"],
        "hardest": [
            {"name": names[i], "performance": row["performance"][i], "weight": row["weights"][i]}
            for i in history.hardest(row, HARDEST)
        ],
    }
