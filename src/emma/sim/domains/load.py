"""Named domains from the YAML files beside this module."""

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from importlib.resources import files
from typing import Any, Final

import yaml

from emma.errors import EmmaError
from emma.sim.domains.domain import COLORS, LEVELS, PARTS, TONES, Domain

FILES: Final = ("named.yaml", "unseen.yaml")

# Property (a part, accent, pattern, level or tone) -> word: looks that have all of these words are kept for evaluation.
Combination = Mapping[str, str]


def load_domain(name: str) -> Domain:
    """The domain called `name`. Raises EmmaError, naming those there are."""
    domains = _read()[0]
    if name not in domains:
        raise EmmaError(f"unknown visual domain '{name}'", found=name, expected=f"one of {', '.join(domains)}")
    return domains[name]


def list_domains(role: str | None = None) -> list[str]:
    """Names of all domains, or of those with a role (source, graded, single, unseen), in the files' order."""
    return [name for name, domain in _read()[0].items() if role in (None, domain.role)]


def held_out_combinations() -> tuple[Combination, ...]:
    """The combinations of words that only the unseen domains may show."""
    return _read()[1]


@cache
def _read() -> tuple[dict[str, Domain], tuple[Combination, ...]]:
    raw: dict[str, dict[str, Any]] = {}
    for file in FILES:
        raw |= yaml.safe_load(files(__package__).joinpath(file).read_text())
    source = raw["source"]
    domains: dict[str, Domain] = {}
    held_out: list[Combination] = []
    for name, entry in raw.items():
        values = {**source, **entry}
        held_out += values.pop("held_out", [])
        domains[name] = _domain(name, values)
    return domains, tuple(held_out)


def _domain(name: str, values: dict[str, Any]) -> Domain:
    unknown = sorted(set(values) - {field.name for field in fields(Domain)})
    if unknown:
        raise EmmaError(f"domain {name} has unknown keys", found=", ".join(unknown))
    words: dict[str, Mapping[str, Any]] = {**dict.fromkeys((*PARTS, "accent"), COLORS), "level": LEVELS, "tone": TONES}
    read: dict[str, Any] = {"name": name}
    try:
        for key, value in values.items():
            if key in words and isinstance(value, str):
                value = words[key][value]
            read[key] = tuple(value) if isinstance(value, list) else value
        return Domain(**read)
    except (ValueError, KeyError, TypeError) as error:
        raise EmmaError(f"domain {name} is not valid", found=str(error)) from None
