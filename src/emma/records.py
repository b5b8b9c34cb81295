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


def decode[T: Record](cls: type[T], text: str | bytes, source: str) -> T:
    """The record in `text`; `source` names the file or topic in errors.

    Raises EmmaError for broken JSON, another version, and missing, unknown or wrong fields.
    """
    try:
        values = from_json(text, allow_inf_nan=True)
    except ValueError as error:
        raise EmmaError(f"{source} is not JSON", found=str(error), expected=f"a {cls.__name__}") from None
    if not isinstance(values, dict):
        raise EmmaError(f"{source} is not a record", found=type(values).__name__, expected=f"a {cls.__name__}")
    version = values.pop(KEY, None)
    if version != cls.VERSION:
        raise EmmaError(
            f"{source} has another version",
            found=f"version {version}",
            expected=f"version {cls.VERSION} of {cls.__name__}",
            fix="run the version of emma that wrote it, or make it anew with this one",
        )
    # A `ClassVar` is among `__dataclass_fields__`, too.
    known = {field.name for field in fields(cls)}
    for problem, names in (("unknown", values.keys() - known), ("missing", known - values.keys())):
        if names:
            raise EmmaError(f"{source} has {problem} fields", found=sorted(names), expected=f"a {cls.__name__}")
    try:
        record: T = _adapter(cls).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise EmmaError(f"{source}: bad value for {where}", found=first["input"], expected=first["msg"]) from None
    return record


@dataclass(frozen=True)
class Topic[T: Record]:
    """Where nodes publish records of one kind, each as the text of a latched std_msgs/String."""

    name: str
    kind: type[T]

    def read(self, text: str) -> T:
        """Raises EmmaError as `decode` does."""
        return decode(self.kind, text, self.name)
