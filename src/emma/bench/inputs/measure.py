"""Every family and every case, tried one by one, and what went wrong counted."""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

from emma.bench.inputs import corrupted_bags, corrupted_datasets
from emma.bench.inputs.cases import CASES
from emma.bench.inputs.cases.case import Case
from emma.bench.inputs.crc import QUICK_ROUNDS, ROUNDS, crc_cost
from emma.bench.inputs.families import Attempt, Family, Hang, ends_within

# A module of inputs adds its own here.
FAMILIES: tuple[Family, ...] = (*corrupted_bags.FAMILIES, *corrupted_datasets.FAMILIES)
QUICK_SHARE = 0.06
# The cases take longer than the corruptions of a quick run: a quarter of them stands for all.
QUICK_CASES = 12
CASE_S = 120.0


def measure(quick: bool, seed: int) -> dict[str, Any]:
    """The figures of the bench, by name; quick: with a part of the attempts and cases."""
    with tempfile.TemporaryDirectory(prefix="emma-bench-") as scratch:
        attempts = {f.name: list(_attempts(f, Path(scratch), quick, seed)) for f in FAMILIES}
        cases = [CASES[i * len(CASES) // QUICK_CASES] for i in range(QUICK_CASES)] if quick else CASES
        wrong = dict(_wrong_cases(cases, Path(scratch)))
        crc = crc_cost(Path(scratch), QUICK_ROUNDS if quick else ROUNDS)
    every = [attempt for family in attempts.values() for attempt in family]
    figures = {f"inputs{name}": value for name, value in _counts(every).items()}
    return {
        **figures,
        "cases_right": len(cases) - len(wrong),
        "cases": len(cases),
        "crc_cost": crc,
        "families": [
            {"family": name, **{k.lstrip("_") or "attempts": v for k, v in _counts(found).items()}}
            for name, found in attempts.items()
        ],
        "findings": [
            f"{name}: {_finding(attempt)}" for name, found in attempts.items() for attempt in found if _finding(attempt)
        ]
        + [f"{name}: {problem}" for name, problem in wrong.items()],
    }


def _attempts(family: Family, scratch: Path, quick: bool, seed: int) -> Iterable[Attempt]:
    whole, work = scratch / family.name, scratch / f"{family.name}-work"
    whole.mkdir()
    truth = family.prepare(whole)
    for number in range(round(family.attempts * QUICK_SHARE) if quick else family.attempts):
        work.mkdir()
        chance = Random(f"{family.name} {seed} {number}")
        try:
            with ends_within():
                yield family.attempt(whole, work, truth, chance)
        except Hang:
            yield Attempt(damage=f"attempt {number} of seed {seed}", hang=True)
        shutil.rmtree(work)


def _wrong_cases(cases: Iterable[Case], scratch: Path) -> Iterable[tuple[str, str]]:
    for case in cases:
        folder = scratch / case.name
        folder.mkdir()
        try:
            with ends_within(CASE_S):
                problem = case.run(folder)
        except Hang:
            problem = "hangs"
        except Exception as error:  # a case that ends in a traceback is wrong
            problem = f"{type(error).__name__}: {error}"
        if problem:
            yield case.name, problem
        shutil.rmtree(folder)


def _counts(attempts: list[Attempt]) -> dict[str, int]:
    return {
        "": len(attempts),
        "_tracebacks": sum(bool(a.traceback) for a in attempts),
        "_hangs": sum(a.hang for a in attempts),
        "_silent": sum(a.silent for a in attempts),
        "_unprotected": sum(a.unprotected for a in attempts),
        "_lost": sum(bool(a.lost) for a in attempts),
        "_refused": sum(a.refused for a in attempts),
    }


def _finding(attempt: Attempt) -> str:
    """What is wrong with an attempt, with the damage that led to it."""
    kinds = [attempt.traceback] if attempt.traceback else []
    kinds += [word for word, found in (("hangs", attempt.hang), ("silent", attempt.silent)) if found]
    kinds += [f"{attempt.lost} lost"] if attempt.lost else []
    return f"{attempt.damage}: {'; '.join(kinds)}" if kinds else ""
