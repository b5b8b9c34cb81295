"""Damaged inputs: a few of every family, and the counting itself."""

from pathlib import Path

import pytest

from emma.bench.inputs.families import Attempt, Family
from emma.bench.inputs.measure import FAMILIES, _attempts, _counts, _finding

FEW = 4


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_damage_is_reported_and_repair_loses_nothing(tmp_path: Path, family: Family) -> None:
    few = Family(name=family.name, attempts=FEW, prepare=family.prepare, attempt=family.attempt)
    attempts = list(_attempts(few, tmp_path, False, 20_000))
    assert len(attempts) == FEW
    assert [_finding(attempt) for attempt in attempts if _finding(attempt)] == []


def test_each_kind_of_failure_is_counted() -> None:
    attempts = [
        Attempt(damage="a", traceback="KeyError: x"),
        Attempt(damage="b", silent=True, lost=3),
        Attempt(damage="c", hang=True),
        Attempt(damage="d", unprotected=True),
        Attempt(damage="e", refused=True),
    ]
    counts = _counts(attempts)
    assert counts.pop("") == 5
    assert set(counts.values()) == {1}
    assert [_finding(a) for a in attempts] == ["a: KeyError: x", "b: silent; 3 lost", "c: hangs", "", ""]
