"""One definition of each option: a field of a frozen dataclass, from which command line, YAML and reference come.

`option(...)` gives a field its help text. `add_options` makes flags of the fields, and `chosen` reads them back.
`build` takes the same fields from YAML, and `yaml_example` prints them with their help as comments.
"""

import argparse
import json
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import yaml

from emma.errors import EmmaError

KEY = "option"
WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
# Where the comments of a YAML example begin, and where its lines end.
_COMMENT_COLUMN, _WIDTH = 27, 120


@dataclass(frozen=True, kw_only=True)
class About:
    """help: one sentence; what it does, not the default, which is added. choices: allowed values. metavar: the value's
    name on the command line. flag: the command line's name for it, where that differs from the field's."""

    help: str
    choices: tuple[str, ...] = ()
    metavar: str = ""
    flag: str = ""


def option(
    default: Any = MISSING,
    *,
    help: str,
    default_factory: Any = MISSING,
    choices: Sequence[str] = (),
    metavar: str = "",
    flag: str = "",
) -> Any:
    """A dataclass field that people set."""
    about = About(help=help, choices=tuple(choices), metavar=metavar, flag=flag)
    if default_factory is not MISSING:
        return field(default_factory=default_factory, metadata={KEY: about})
    return field(default=default, metadata={KEY: about})


def about(spec: "Field[Any]") -> About | None:
    """What `option` was given for a field; None for a field that is no option."""
    found: About | None = spec.metadata.get(KEY)
    return found


def help_of(cls: type, name: str) -> str:
    """The help of an option of another class, for one that differs in its default alone."""
    asked = about(next(spec for spec in fields(cls) if spec.name == name))
    assert asked is not None
    return asked.help


def default_of(spec: "Field[Any]") -> Any:
    """The default of a field; MISSING for one without."""
    return spec.default if spec.default_factory is MISSING else spec.default_factory()


def add_options(parser: argparse.ArgumentParser, cls: type, *, skip: Sequence[str] = ()) -> None:
    """A flag for each option of `cls`: `--batch-size` for batch_size, KEY=VALUE for mappings, a list for tuples."""
    for spec, kind, asked in _options(cls):
        if spec.name in skip:
            continue
        default = default_of(spec)
        text = asked.help.replace("%", "%%")
        shown = "" if default in (None, (), "", MISSING) or isinstance(default, Mapping) else _shown(default)
        settings: dict[str, Any] = {"dest": spec.name, "default": default, "help": text + shown}
        kind = _without_none(kind)
        if kind is bool:
            settings["action"] = "store_true" if default is False else argparse.BooleanOptionalAction
        elif get_origin(kind) is tuple:
            settings |= {"nargs": "+", "metavar": asked.metavar or "NAME"}
        elif _is_mapping(kind):
            settings |= {"action": "append", "metavar": "KEY=VALUE", "default": []}
        elif asked.choices:
            settings["choices"] = asked.choices
        else:
            settings |= {"type": kind, "metavar": asked.metavar or spec.name.upper()}
        if default is MISSING:
            settings |= {"required": True, "default": None}
        parser.add_argument(flag_of(spec), **settings)


def flag_of(spec: "Field[Any]") -> str:
    """`--batch-size` for the field batch_size."""
    asked = about(spec)
    return "--" + ((asked and asked.flag) or spec.name).replace("_", "-")


def chosen(cls: type, args: argparse.Namespace, *, skip: Sequence[str] = ()) -> dict[str, Any]:
    """The options of `cls` as the command line gave them, ready for its constructor. Raises EmmaError."""
    values = {}
    for spec, kind, _ in _options(cls):
        if spec.name in skip:
            continue
        value = getattr(args, spec.name)
        if _is_mapping(_without_none(kind)):
            value = key_values(flag_of(spec), value)
        values[spec.name] = tuple(value) if isinstance(value, list) else value
    return values


def key_values(flag: str, texts: Sequence[str]) -> dict[str, Any]:
    """`["a=1", "b=red"]`, given with `flag`, as {"a": 1, "b": "red"}. Raises EmmaError."""
    return dict(_pair(flag, text) for text in texts)


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


def yaml_example(cls: type, heading: str) -> str:
    """A YAML file of every option with its default, its help as comments; sections are set apart by an empty line."""
    lines = [f"# {line}" for line in heading.splitlines()]
    for spec, kind, _ in _options(cls):
        if not is_dataclass(kind):
            lines += _entry(spec, "")
    for spec, kind, asked in _options(cls):
        if is_dataclass(kind):
            lines += ["", *_commented(f"{spec.name}:", asked.help)]
            for inner, _, _ in _options(typing.cast(type, kind)):
                lines += _entry(inner, "  ")
    return "\n".join(lines) + "\n"


def _entry(spec: "Field[Any]", indent: str) -> list[str]:
    asked, default = about(spec), default_of(spec)
    plain = list(default) if isinstance(default, tuple) else default
    value = yaml.safe_dump(plain, default_flow_style=True, width=1000).removesuffix("...\n").strip()
    assert asked is not None
    missing = [choice for choice in asked.choices if choice not in asked.help]
    return _commented(
        f"{indent}{spec.name}: {value}", asked.help + (f": {', '.join(asked.choices)}" if missing else "")
    )


def _commented(entry: str, text: str) -> list[str]:
    """The entry with its comment behind it, in as many lines as that takes."""
    column = max(_COMMENT_COLUMN, len(entry) + 2)
    room, lines = _WIDTH - column - 2, [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > room:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return [(entry if i == 0 else "").ljust(column) + f"# {line}" for i, line in enumerate(lines)]


def _options(cls: type) -> Iterator[tuple["Field[Any]", Any, About]]:
    hints = get_type_hints(cls)
    for spec in fields(cls):
        asked = about(spec)
        if asked is not None:
            yield spec, hints[spec.name], asked


def _without_none(kind: Any) -> Any:
    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = (a for a in get_args(kind) if a is not type(None))
    return kind


def _is_mapping(kind: Any) -> bool:
    origin = get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _shown(default: Any) -> str:
    value = " ".join(map(str, default)) if isinstance(default, tuple) else default
    return {"False": "", "True": " (default)"}.get(str(value), f" (default {value})")


def _pair(flag: str, text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator:
        raise EmmaError(f"bad {flag} {text}", found=text, expected="KEY=VALUE, the value as JSON or plain text")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value
