"""Message definitions to embed in bags, so that a bag can be read where its packages are not installed."""

import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore


class Definition(NamedTuple):
    """The text of a message type with all it contains, and its type hash (REP 2016)."""

    text: str
    rihs01: str


@cache
def typestore() -> Typestore:
    """The message types of ROS 2 Kilted; those that Jazzy has are the same there."""
    return get_typestore(Stores.ROS2_KILTED)


@cache
def definition(msgtype: str) -> Definition | None:
    """Definition of `package/msg/Name`: of the standard packages, else from an installed `.msg` file, else None."""
    store = typestore()
    try:
        if msgtype not in store.fielddefs:
            _register_installed(store, msgtype)
        return Definition(store.generate_msgdef(msgtype, ros_version=2)[0], store.hash_rihs01(msgtype))
    except (TypesysError, KeyError, OSError, UnicodeDecodeError):
        return None


def _register_installed(store: Typestore, msgtype: str) -> None:
    """Register `msgtype` and everything it contains from `<prefix>/share/<package>/msg/<Name>.msg`."""
    found: dict = {}
    wanted = [msgtype]
    while wanted:
        name = wanted.pop()
        if name in store.fielddefs or name in found:
            continue
        types = get_types_from_msg(_msg_file(name).read_text(), name)
        found.update(types)
        for _, fields in types.values():
            wanted.extend(inner for _, field in fields if (inner := _message_in(field)) is not None)
    store.register(found)


def _message_in(field: tuple) -> str | None:
    """The message type named in a field description of the type system, or None for a plain value."""
    for part in field:
        if isinstance(part, str) and "/msg/" in part:
            return part
        if isinstance(part, tuple) and (inner := _message_in(part)) is not None:
            return inner
    return None


def _msg_file(msgtype: str) -> Path:
    package, _, name = msgtype.split("/")
    for prefix in _prefixes():
        path = prefix / "share" / package / "msg" / f"{name}.msg"
        if path.is_file():
            return path
    raise FileNotFoundError(msgtype)


def _prefixes() -> Iterator[Path]:
    yield from (Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p)
    yield Path(sys.prefix)
