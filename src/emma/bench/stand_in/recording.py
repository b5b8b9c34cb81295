"""What is looked up in the stand-in for TensorRT is written down."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Calls:
    """names: looked up, as Class.name or name of the module. unknown: names that the stand-in does not have.
    made: calls that matter, in order."""

    names: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    made: list[tuple[str, Any]] = field(default_factory=list)


class Recording:
    """Attributes that are looked up are written down under the name of the TensorRT class.

    What a class of Polygraphy's adds to the one it is derived from is no name of TensorRT's, and is left out.
    """

    calls = Calls()

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_") and name != "calls":
            _note(type(self), name)
        return object.__getattribute__(self, name)

    def __getattr__(self, name: str) -> Any:
        Recording.calls.unknown.add(f"{_public(type(self)).__name__}.{name}")
        raise AttributeError(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            _note(type(self), name)
        object.__setattr__(self, name, value)


def _note(cls: type, name: str) -> None:
    public = _public(cls)
    if cls is public or hasattr(public, name):
        Recording.calls.names.add(f"{public.__name__}.{name}")


def _public(cls: type) -> type:
    """The class of TensorRT that it is, or is derived from by Polygraphy."""
    return next(c for c in cls.__mro__ if c.__module__.startswith(__package__))
