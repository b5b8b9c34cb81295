"""Benchmarks: each module has HELP and run(quick, seed) -> figures; `emma bench` prints and stores what they return."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

NAMES = (
    "loop",
    "episodes",
    "soak",
    "appearances",
    "dream",
    "large",
    "generalisation",
    "paths",
    "joins",
    "fullsize",
    "graphs",
    "training",
    "adamix",
    "latency",
    "control",
    "inputs",
    "setup",
    "human",
)


class Bench(NamedTuple):
    """One benchmark. run(quick, seed) returns its figures by name.

    run_with(quick, seed, options): the same for one that has options; draw(figures, folder): its pictures for the page
    of results.
    """

    help: str
    run: Callable[[bool, int], dict[str, Any]]
    run_with: Callable[[bool, int, Mapping[str, Any]], dict[str, Any]] | None = None
    draw: Callable[[Mapping[str, Any], Path], None] | None = None


def load_bench(name: str) -> Bench:
    """The benchmark called `name`, one of NAMES."""
    module = importlib.import_module(f"emma.bench.{name}")
    more = {name: getattr(module, name, None) for name in ("run_with", "draw")}
    return Bench(help=module.HELP, run=module.run, **more)
