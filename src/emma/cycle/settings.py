"""Frozen dataclasses from YAML: every key known, every value of the right type, errors that name file and key."""

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import yaml

from emma.errors import EmmaError

WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def read_yaml(path: Path | str) -> dict[str, Any]:
    """The mapping in a YAML file. Raises EmmaError that names the file."""
    try:
        raw = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise EmmaError(f"cannot read {path}", found=error.strerror, expected="a YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise EmmaError(f"{path} is not valid YAML", found=" ".join(str(error).split())) from None
    if raw is not None and not isinstance(raw, dict):
        raise EmmaError(f"{path} holds no settings", found=type(raw).__name__, expected="key: value pairs")
    return raw or {}


def build[T](cls: type[T], raw: Mapping[str, Any], where: str) -> T:
    """`raw` as the dataclass `cls`; `where` names it in errors, as in `improve.yaml: train`."""
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted(set(map(str, raw)) - set(known)):
        raise EmmaError(
            f"{where} has unknown keys", found=", ".join(unknown), expected=f"some of {', '.join(sorted(known))}"
        )
    hints = get_type_hints(cls)
    values = {name: _value(hints[name], value, f"{where}: {name}") for name, value in raw.items()}
    missing = [n for n, f in known.items() if n not in values and f.default is MISSING and f.default_factory is MISSING]
    if missing:
        raise EmmaError(f"{where} lacks keys", found=", ".join(raw) or "nothing", expected=", ".join(missing))
    try:
        return cls(**values)
    except EmmaError as error:
        raise EmmaError(
            f"{where}: {error.problem}", found=error.found, expected=error.expected, fix=error.fix
        ) from None


def _value(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (kind,) = (a for a in arguments if a is not type(None))
        return _value(kind, value, where)
    if is_dataclass(kind):
        # An empty section is a section of defaults.
        if value is not None and not isinstance(value, Mapping):
            raise _wrong(where, value, "a section of key: value pairs")
        return build(typing.cast(type, kind), value or {}, where)
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, list | tuple):
            raise _wrong(where, value, "a list")
        return tuple(_value(arguments[0], item, where) for item in value)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise _wrong(where, value, "a section of key: value pairs")
        return dict(value)
    if kind is Path:
        if not isinstance(value, str | Path):
            raise _wrong(where, value, "a path")
        return Path(value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise _wrong(where, value, WORDS[kind])
    return value


def _wrong(where: str, value: Any, expected: str) -> EmmaError:
    return EmmaError(f"bad value for {where}", found=repr(value), expected=expected)
