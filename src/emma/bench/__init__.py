"""Benchmarks: each module has HELP and run(quick, seed) -> figures; `emma bench` prints and stores what they return."""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

NAMES = (
    "loop",
    "episodes",
    "soak",
    "appearances",
    "dream",
    "paths",
    "joins",
    "fullsize",
    "training",
    "adamix",
    "latency",
    "control",
    "setup",
)


class Bench(NamedTuple):
    """One benchmark. run(quick, seed) returns its figures by name."""

    help: str
    run: Callable[[bool, int], dict[str, Any]]


def load_bench(name: str) -> Bench:
    """The benchmark called `name`, one of NAMES."""
    module = importlib.import_module(f"emma.bench.{name}")
    return Bench(help=module.HELP, run=module.run)
