"""Inputs that once went wrong, each by itself."""

from pathlib import Path

import pytest

from emma.bench.input_cases import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(tmp_path: Path, case: Case) -> None:
    assert case.run(tmp_path) == ""
