"""What a person may say to ask for a target. Some phrasings are kept out of training, to test understanding."""

from typing import Final

import numpy as np

from emma.errors import EmmaError

TRAIN: Final[dict[str, tuple[str, ...]]] = {
    "bin": (
        "put the cube in the bin",
        "place the cube in the bin",
        "drop the cube into the bin",
        "move the cube to the bin",
        "pick up the cube and put it in the bin",
        "the cube goes in the bin",
        "take the cube and drop it in the bin",
        "put the block into the bin",
    ),
    "plate": (
        "put the cube on the plate",
        "place the cube on the plate",
        "set the cube down on the plate",
        "move the cube to the plate",
        "pick up the cube and put it on the plate",
        "the cube goes on the plate",
        "take the cube and set it on the plate",
        "put the block onto the plate",
    ),
}
HELD_OUT: Final[dict[str, tuple[str, ...]]] = {
    "bin": ("grab the cube and drop it into the bin", "please put the block in the bin"),
    "plate": ("grab the cube and set it down on the plate", "please put the block on the plate"),
}


def phrases(target: str, *, held_out: bool = False) -> tuple[str, ...]:
    """The phrasings that ask for `target`. Raises EmmaError for a target there is not."""
    book = HELD_OUT if held_out else TRAIN
    if target not in book:
        raise EmmaError(f"unknown target '{target}'", found=target, expected=f"one of {', '.join(book)}")
    return book[target]


def choose(target: str, rng: np.random.Generator, *, held_out: bool = False) -> str:
    """One of `phrases`, at random."""
    options = phrases(target, held_out=held_out)
    return options[int(rng.integers(len(options)))]


def target_of(instruction: str) -> str | None:
    """The target an instruction of ours asks for, or None for any other text."""
    for book in (TRAIN, HELD_OUT):
        for target, options in book.items():
            if instruction in options:
                return target
    return None
