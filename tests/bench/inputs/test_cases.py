"""Inputs that once went wrong, each by itself."""

import importlib
import pkgutil
from collections import Counter
from pathlib import Path

import pytest

from emma.bench.inputs import cases
from emma.bench.inputs.cases import CASES
from emma.bench.inputs.cases.case import Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(tmp_path: Path, case: Case) -> None:
    assert case.run(tmp_path) == ""


def test_every_file_of_cases_is_in_the_list() -> None:
    modules = [
        importlib.import_module(f"{cases.__name__}.{found.name}") for found in pkgutil.iter_modules(cases.__path__)
    ]
    written = Counter(case.name for module in modules for case in getattr(module, "CASES", ()))
    assert written == Counter(case.name for case in CASES)
    assert set(written.values()) == {1}
