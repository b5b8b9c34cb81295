"""A table that grows over machines: what a workspace lacks is taken from the figures of an earlier run."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emma.errors import EmmaError

# Of a row that both have: a training is the same to the bit on machines of one kind, so these are equal, or it is
# another experiment.
SAME = ("mean_unseen_by_seed", "mean_graded")


def read_table(file: Path) -> dict[str, Any]:
    """The document of an earlier table. Raises EmmaError for anything else."""
    try:
        document: dict[str, Any] = json.loads(file.read_text())
        if document["commit"] and document["figures"]["rows"]:
            return document
        found = "no rows"
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = f"{type(error).__name__}: {error}"
    raise EmmaError(
        f"cannot keep rows of {file}",
        found=found,
        expected="figures that `emma bench generalisation --json FILE` wrote, with its table",
    )


def kept(
    figures: Mapping[str, Any], document: Mapping[str, Any], file: Path, decisive: Sequence[str]
) -> dict[str, Any]:
    """`figures` with the rows, gains and settings of sweeps that they lack and `document`, read from `file`, has.

    decisive: names that must agree where both say them. Raises EmmaError if one differs, if no row is whole in both
    (nothing else shows that data and first weights were the same), or if such a row differs.
    """
    before = document["figures"]
    for name in (name for name in decisive if name in before):
        _require(figures.get(name) == before.get(name), file, name, before.get(name), figures.get(name))
    rows = {row["row"]: row for row in before["rows"] if row["state"] == "measured"}
    shared = [
        (row, rows[row["row"]])
        for row in figures["rows"]
        if row["state"] == "measured" and row["trainings"] == rows.get(row["row"], {}).get("trainings")
    ]
    _require(bool(shared), file, "whole rows", ", ".join(rows), "at least one of them with as many trainings")
    for row, old in shared:
        for name in SAME:
            _require(row[name] == old[name], file, f"{name} of {row['row']}", old[name], row[name])
    merged = {**before, **{name: value for name, value in figures.items() if value not in (None, [])}}
    commit = document["commit"]
    merged["rows"] = [
        {**rows[row["row"]], "kept": commit}
        if row["state"] == "missing" and row["row"] in rows
        # What a row here cannot say without another row that is not here, such as a ratio.
        else {**row, **{name: value for name, value in rows.get(row["row"], {}).items() if row.get(name) is None}}
        for row in figures["rows"]
    ]
    merged["sweeps"] = _sweeps(figures.get("sweeps") or [], before.get("sweeps") or [])
    missing = [row["row"] for row in merged["rows"] if row["state"] == "missing"]
    merged["missing"] = ", ".join(missing) or None
    ids = before.get("unseen_configuration_ids", [])
    new = [found for found in figures["unseen_configuration_ids"] if found not in ids]
    merged["unseen_configurations"] = before["unseen_configurations"] + len(new)
    merged["unseen_configuration_ids"] = sorted([*ids, *new])
    merged["kept_from"] = commit
    return merged


def _sweeps(here: list[dict[str, Any]], before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Lines of here, each that is missing from before if it is there, and whole sweeps that only were there."""
    old = {(line["sweep"], line["setting"]): line for line in before if line["state"] == "measured"}
    lines = [old.get((x["sweep"], x["setting"]), x) if x["state"] == "missing" else x for x in here]
    swept = {line["sweep"] for line in here}
    return [*lines, *(line for line in before if line["sweep"] not in swept)]


def _require(holds: bool, file: Path, name: str, found: object, expected: object) -> None:
    if not holds:
        raise EmmaError(
            f"{file} is the table of another experiment",
            found=f"{name} {found}",
            expected=f"{expected}, as here",
            fix="leave keep out, or give the figures of the same configuration",
        )
