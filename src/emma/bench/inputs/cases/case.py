"""What a case is, and how a file of cases names its own."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

Run = Callable[[Path], str]


class Case(NamedTuple):
    """One input. run(folder): what is wrong in an empty folder of its own."""

    name: str
    run: Run


def case_of(cases: list[Case]) -> Callable[[Run], Run]:
    """Add a case to those of its file, named as its function."""

    def add(run: Run) -> Run:
        cases.append(Case(run.__name__, run))
        return run

    return add
