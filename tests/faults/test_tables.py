"""The tables of faults name the tests that assert them: each of these exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
NAMES = {name for path in TESTS for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)}
FILES = {path.relative_to(ROOT / "tests").as_posix() for path in TESTS}


def rows(table):
    lines = (ROOT / "docs/reference" / table).read_text().splitlines()
    return [line for line in lines if line.startswith("| ") and not line.startswith("| fault ")]


@pytest.mark.parametrize(("table", "least"), [("faults-control.md", 25), ("faults-recorder.md", 12)])
def test_every_row_names_tests_that_exist(table, least):
    found = rows(table)
    assert len(found) >= least
    for row in found:
        named = re.findall(r"`((?:\w+/)*test_\w+(?:\.py)?)`", row.split(" | ")[-1])
        assert named, row
        assert set(named) <= NAMES | FILES, row
