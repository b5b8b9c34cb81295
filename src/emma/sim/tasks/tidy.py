"""Tidy up: the words name no target. A rule does: red things belong into the bin, everything else onto the plate."""

from typing import Final

from emma.sim.domains import Domain
from emma.sim.tasks.kind import TaskKind
from emma.sim.tasks.place import plan, where

WORDS: Final = ("tidy up", "put the cube where it belongs", "clean up the table")
NEW_WORDS: Final = ("please tidy up the table",)


def belongs(domain: Domain) -> str:
    """The target of a look's cube."""
    return "bin" if domain.words["cube"] == "red" else "plate"


TIDY: Final = TaskKind(
    name="tidy",
    train={"bin": WORDS, "plate": WORDS},
    held_out={"bin": NEW_WORDS, "plate": NEW_WORDS},
    plan=plan,
    where=where,
)
