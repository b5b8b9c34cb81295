"""What is used of LeRobot, in one list: the work of a new version is to go through it.

`python tests/test_lerobot_used.py` writes the list anew after a change.
"""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_suffix(".txt")


def used() -> list[str]:
    """`module.name` of every import from LeRobot below src."""
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(), str(path))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name for name in names if name.partition(".")[0] == "lerobot"}
    return sorted(found)


def test_the_list_is_what_is_used() -> None:
    assert used() == LIST.read_text().splitlines(), "run `python tests/test_lerobot_used.py` and look at the difference"


@pytest.mark.slow
@pytest.mark.parametrize("name", LIST.read_text().splitlines())
def test_each_name_is_there(name: str) -> None:
    """A module, or an attribute of one."""
    module, _, attribute = name.rpartition(".")
    if not hasattr(importlib.import_module(module), attribute):
        importlib.import_module(name)


if __name__ == "__main__":
    LIST.write_text("\n".join(used()) + "\n")
