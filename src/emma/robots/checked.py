"""Values of a `robot.yaml` as validated dataclasses; an error names file, key, value and what is allowed."""

import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from emma.errors import EmmaError

# Fully qualified names: https://design.ros2.org/articles/topic_and_service_names.html
_TOPIC = re.compile(r"(?:/[A-Za-z_]\w*)+", re.ASCII)
_TOPIC_RULE = "an absolute topic name: /, then letters, digits and _, levels parted by single /"


class BadValue(ValueError):
    def __init__(self, key: str, value: object, allowed: str) -> None:
        super().__init__(key)
        self.key, self.value, self.allowed = key, value, allowed


def require(condition: bool, key: str, value: object, allowed: str) -> None:
    if not condition:
        raise BadValue(key, value, allowed)


def require_name(name: str) -> None:
    require(
        name != "" and name == name.strip(),
        "name",
        name,
        "a name that neither is empty nor begins or ends with a space",
    )


def require_topic(key: str, topic: str) -> None:
    require(_TOPIC.fullmatch(topic) is not None, key, topic, _TOPIC_RULE)


def unique(key: str, names: tuple[str, ...]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    require(not twice, key, f"{', '.join(twice)} more than once", "names that differ")


def build(cls: type, raw: object, where: str, file: Path, **extra: Any) -> Any:
    """`cls(**raw)` with an error that names file, key, value and what is allowed."""
    if not isinstance(raw, Mapping):
        raise EmmaError(
            f"{file}: {where or 'the file'} is not a mapping", found=repr(raw)[:80], expected="key: value pairs"
        )
    known = {f.name: f for f in fields(cls) if f.name != "folder"}
    for key in raw:
        if key not in known:
            raise EmmaError(
                f"{file}: unknown key {_join(where, key)}",
                found=f"{key}: {raw[key]!r}",
                expected=f"one of {', '.join(known)}",
            )
    for name, spec in known.items():
        required = spec.default is MISSING and spec.default_factory is MISSING
        if required and name not in raw and name not in extra:
            raise EmmaError(
                f"{file}: {_join(where, name)} is missing", found=sorted(raw), expected=f"a value for {name}"
            )
    values = {
        **{k: _coerce(known[k].type, v, _join(where, k), file) for k, v in raw.items() if k not in extra},
        **extra,
    }
    try:
        return cls(**values)
    except BadValue as bad:
        raise EmmaError(
            f"{file}: bad value for {_join(where, bad.key)}", found=f"{bad.key}: {bad.value!r}", expected=bad.allowed
        ) from None


def _join(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)


def _coerce(annotation: Any, value: Any, where: str, file: Path) -> Any:
    """YAML scalars to the field's type; wrong kinds are refused, never guessed."""

    def refuse(expected: str) -> EmmaError:
        return EmmaError(f"{file}: bad value for {where}", found=repr(value), expected=expected)

    if annotation == (float | None) and value is None:
        return None
    if annotation in (float, float | None):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise refuse("a number, not NaN or infinite")
        return float(value)
    if annotation is int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise refuse("a whole number")
        return value
    if annotation is bool:
        if not isinstance(value, bool):
            raise refuse("true or false")
        return value
    if annotation is str or annotation == (str | None):
        if value is None and annotation is not str:
            return None
        if not isinstance(value, str):
            raise refuse("text")
        return value
    if annotation == tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise refuse("a list of names")
        return tuple(value)
    if annotation == tuple[float, ...]:
        if not isinstance(value, list) or not all(
            isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in value
        ):
            raise refuse("a list of numbers, none NaN or infinite")
        return tuple(float(v) for v in value)
    return value


def build_list(cls: type, raw: object, where: str, file: Path, **inner: type) -> tuple[Any, ...]:
    """A tuple of `cls`. inner: keys of an item that are mappings themselves, and the dataclass that each becomes."""
    if not isinstance(raw, list):
        raise EmmaError(f"{file}: bad value for {where}", found=repr(raw)[:80], expected="a list")
    items = []
    for i, item in enumerate(raw):
        here = f"{where}[{i}]"
        found = {key: kind for key, kind in inner.items() if isinstance(item, Mapping) and key in item}
        made = {key: build(kind, item[key], _join(here, key), file) for key, kind in found.items()}
        items.append(build(cls, item, here, file, **made))
    return tuple(items)
