"""Which datasets a cycle trains on and measures with."""

from collections.abc import Mapping
from pathlib import Path

from emma.cycle.cycle import Cycle
from emma.cycle.manifest import Manifest
from emma.errors import EmmaError

DATASET, HELD_OUT = "dataset", "held_out"


def real_datasets(cycle: Cycle, before: Mapping[str, Manifest]) -> list[Path]:
    """What people and policies did: the given datasets, earlier cycles' episodes, this cycle's. EmmaError if none."""
    found = [Path(path) for path in cycle.config.datasets]
    found += [Path(folder) / DATASET for folder in cycle.earlier if (Path(folder) / DATASET).is_dir()]
    if DATASET in before["convert"].outputs:
        found.append(cycle.stage("convert") / DATASET)
    if not found:
        refused = before["convert"].results.get("refused", {})
        raise EmmaError(
            "there is nothing to train on",
            found="; ".join(f"{name}: {why}" for name, why in refused.items()) or "no dataset and no usable episode",
            expected="datasets in the configuration, or recorded episodes",
            fix="record some with `emma record`, or give --dataset",
        )
    return found


def human_datasets(cycle: Cycle) -> list[Path]:
    """The given recordings of hands."""
    return [Path(path) for path in cycle.config.human]


def held_out_datasets(cycle: Cycle, before: Mapping[str, Manifest]) -> list[Path]:
    """What is kept from training, of this cycle and earlier ones."""
    found = [Path(folder) / HELD_OUT for folder in cycle.earlier if (Path(folder) / HELD_OUT).is_dir()]
    if HELD_OUT in before["convert"].outputs:
        found.append(cycle.stage("convert") / HELD_OUT)
    return found


def generated_datasets(cycle: Cycle, before: Mapping[str, Manifest]) -> list[Path]:
    """What the generator made of them and the filter left."""
    if before["filter"].skipped:
        return []
    return [(cycle.stage("augment") / name).resolve() for name in before["filter"].results["used"]]
