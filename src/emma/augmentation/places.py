"""Finished clips into their datasets: accepted ones into OUT, the others into OUT/rejected; resumable at any step."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from emma.augmentation.clips import GeneratorCard
from emma.augmentation.stage import Key, Stage
from emma.datasets.source import SourceDataset, plain
from emma.datasets.writer import DatasetWriter

REJECTED = "rejected"


def place_all(
    source: SourceDataset,
    card: GeneratorCard,
    stage: Stage,
    writer: DatasetWriter,
    out: Path,
    *,
    progress: Callable[[int, int, str], None],
    also: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Place every decided clip, accepted ones first; then the job is done and its clips are gone from the stage.

    also: for every line of provenance.
    """
    decided = stage.read("decisions")
    origin = {"dataset": source.root.name, "sha256": source.sha256()}
    accepted = [row for row in decided["clips"] if row["accepted"]]
    others = [row for row in decided["clips"] if not row["accepted"]]
    total = len(decided["clips"])

    def place(rows: Sequence[dict[str, Any]], into: DatasetWriter, before: int) -> None:
        there = {(entry["from"]["episode"], entry["variant"]) for entry in into.provenance}
        for number, row in enumerate(rows):
            key = Key(row["episode"], row["variant"])
            if (key.episode, key.variant) not in there:
                entry = _provenance(source, card, stage.sidecar(key), row, origin) | plain(also)
                into.add_encoded(stage.encoded(key), source.instruction(key.episode), entry)
            stage.remove(key)
            progress(before + number + 1, total, "putting clips into their places")

    place(accepted, writer, 0)
    if others and not (out / REJECTED).exists():
        # Under a hidden name until it is whole: a crash leaves nothing that looks like a result.
        aside = stage.folder / REJECTED
        with DatasetWriter.of_features(aside, writer.features, source.fps, source.robot) as rejected:
            place(others, rejected, len(accepted))
        os.rename(aside, out / REJECTED)
    stage.write("done", {"accepted": len(accepted), "rejected": len(others), "failed": decided["failed"]})
    shutil.rmtree(stage.folder / "clips", ignore_errors=True)


def _provenance(
    source: SourceDataset, card: GeneratorCard, clip: dict[str, Any], row: dict[str, Any], origin: dict[str, Any]
) -> dict[str, Any]:
    line = source.provenance[row["episode"]] if row["episode"] < len(source.provenance) else {}
    entry: dict[str, Any] = plain(
        {
            "source": "generated",
            "embodiment": line.get("embodiment", source.robot),
            "from": {
                **origin,
                "episode": row["episode"],
                "provenance": {key: value for key, value in line.items() if key != "episode_index"},
            },
            "variant": row["variant"],
            "prompt": clip["prompt"],
            "words": clip["words"],
            "seed": clip["seed"],
            "generator": {"name": card.name, "sha256": card.sha256},
            "scores": clip["scores"],
            "accepted": row["accepted"],
            "reason": row["reason"],
        }
    )
    return entry
