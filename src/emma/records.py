"""Frozen dataclasses as versioned JSON: node states on topics, provenance and manifests on disk.

A record class has a `VERSION`, raised when the meaning of a field changes; a reader refuses other versions.
"""

from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any, ClassVar, Protocol

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from emma.errors import EmmaError

KEY = "version"


class Record(Protocol):
    """A dataclass whose fields are JSON types, enums, paths, dataclasses, and tuples and mappings of these."""

    VERSION: ClassVar[int]
    __dataclass_fields__: ClassVar[dict[str, Any]]


@cache
def _adapter(cls: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(cls)


def encode(record: Record, *, indent: int | None = None) -> str:
    """One JSON object with the record's fields and version; infinity and NaN become strings, as JSON has neither."""
    values = asdict(record)
    assert KEY not in values, f"{type(record).__name__} has a field {KEY}"
    values = {KEY: record.VERSION, **values}
    return to_json(values, indent=indent, inf_nan_mode="strings").decode()


def decode[T: Record](cls: type[T], text: str | bytes, source: str, *, fix: str | None = None) -> T:
    """The record in `text`; `source` names the file or topic in errors, `fix` what to do about a bad one.

    Raises EmmaError for broken JSON, another version, and missing, unknown or wrong fields.
    """
    try:
        values = from_json(text, allow_inf_nan=True)
    except ValueError as error:
        raise EmmaError(f"{source} is not JSON", found=str(error), expected=f"a {cls.__name__}", fix=fix) from None
    if not isinstance(values, dict):
        raise EmmaError(f"{source} is not a record", found=type(values).__name__, expected=f"a {cls.__name__}", fix=fix)
    version = values.pop(KEY, None)
    if version != cls.VERSION:
        raise EmmaError(
            f"{source} has another version",
            found=f"version {version}",
            expected=f"version {cls.VERSION} of {cls.__name__}",
            fix=fix or "run the version of emma that wrote it, or make it anew with this one",
        )
    # A `ClassVar` is among `__dataclass_fields__`, too.
    if missing := {field.name for field in fields(cls)} - values.keys():
        raise EmmaError(f"{source} has missing fields", found=sorted(missing), expected=f"a {cls.__name__}", fix=fix)
    try:
        record: T = _adapter(cls).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        # A check of the whole record names no field.
        where = ".".join(str(part) for part in first["loc"]) or f"a {cls.__name__}"
        raise EmmaError(
            f"{source}: bad value for {where}", found=first["input"], expected=first["msg"], fix=fix
        ) from None
    if unknown := _unread(values, _adapter(cls).dump_python(record)):
        raise EmmaError(f"{source} has unknown fields", found=sorted(unknown), expected=f"a {cls.__name__}", fix=fix)
    return record


def _unread(given: Any, read: Any) -> set[str]:
    """Keys of JSON objects, at any depth, that a record did not take: pydantic leaves out what a dataclass lacks."""
    if isinstance(given, dict) and isinstance(read, dict):
        taken = {str(key): value for key, value in read.items()}
        found = given.keys() - taken.keys()
        return found.union(*(_unread(value, taken[key]) for key, value in given.items() if key in taken))
    if isinstance(given, list) and isinstance(read, (list, tuple)):
        return set().union(*(_unread(*pair) for pair in zip(given, read, strict=True)))
    return set()


@dataclass(frozen=True)
class Topic[T: Record]:
    """Where nodes publish records of one kind, each as the text of a latched std_msgs/String."""

    name: str
    kind: type[T]

    def read(self, text: str) -> T:
        """Raises EmmaError as `decode` does."""
        return decode(self.kind, text, self.name)
