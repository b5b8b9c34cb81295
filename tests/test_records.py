"""Records survive the way through JSON; anything else is refused with the reason."""

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

import pytest

from emma.errors import EmmaError
from emma.records import decode, encode


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, kw_only=True)
class Part:
    age_s: float


@dataclass(frozen=True, kw_only=True)
class Sample:
    VERSION: ClassVar[int] = 3
    name: str
    colour: Colour = Colour.RED
    parts: tuple[Part, ...] = ()
    folder: Path | None = None


def changed(**fields: object) -> str:
    return json.dumps(json.loads(encode(Sample(name="a"))) | fields)


def test_the_way_there_and_back() -> None:
    sample = Sample(name="a", parts=(Part(age_s=0.5), Part(age_s=math.inf)), folder=Path("x/y"))
    assert decode(Sample, encode(sample), "/topic") == sample
    assert json.loads(encode(sample))["version"] == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "not a record"),
        ('{"name": "a"}', "another version"),
        ('{"version": 4, "name": "a"}', "another version"),
        (changed(size=1), "unknown fields"),
        ('{"version": 3, "name": "a", "colour": "red", "parts": []}', "missing fields"),
        (changed(colour="blue"), "colour"),
        (changed(parts=[{"age_s": "old"}]), "parts.0.age_s"),
        (changed(parts=[{"age_s": 1.0, "size": 2}]), "unknown fields"),
    ],
)
def test_anything_else_is_refused(text: str, words: str) -> None:
    with pytest.raises(EmmaError, match=r"state\.json") as refused:
        decode(Sample, text, "state.json")
    assert words in str(refused.value)
