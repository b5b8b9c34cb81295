"""Reads a YAML file that a person wrote: UTF-8, one value a key, no depth that exhausts the parser."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from emma.errors import EmmaError


class _UniqueKeys(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys; here that is an error with both lines."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        first: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            line = key.start_mark.line + 1
            if key.value in first:
                raise _DuplicateKeyError(key.value, first[key.value], line)
            first[key.value] = line
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return mapping


class _DuplicateKeyError(Exception):
    def __init__(self, key: str, first: int, second: int) -> None:
        super().__init__(key)
        self.key, self.first, self.second = key, first, second


def read_yaml(path: Path) -> Any:
    """The content of the file at `path`, as `yaml.safe_load` gives it. Raises EmmaError."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise EmmaError(f"cannot read {path}", found=error.strerror, expected="a YAML file") from None
    except UnicodeDecodeError as error:
        raise EmmaError(
            f"{path} is not text in UTF-8",
            found=f"byte 0x{error.object[error.start]:02x} at offset {error.start}",
            expected="a YAML file in UTF-8",
            fix="save the file as UTF-8, for example: iconv -f LATIN1 -t UTF-8 (or -f UTF-16)",
        ) from None
    try:
        # The loader is a SafeLoader: it builds plain values only.
        return yaml.load(text, Loader=_UniqueKeys)
    except _DuplicateKeyError as twice:
        raise EmmaError(
            f"{path}: key {twice.key} is there twice",
            found=f"lines {twice.first} and {twice.second}",
            expected="each key once",
            fix="remove one of the two lines",
        ) from None
    except RecursionError:
        raise EmmaError(
            f"{path} is nested too deeply", found="more levels than the parser can follow", expected="a few levels"
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        # ValueError: a scalar such as the date 2026-99-99.
        raise EmmaError(
            f"{path} is not valid YAML", found=str(error).replace("\n", " "), expected="key: value pairs"
        ) from None
