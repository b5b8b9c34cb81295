"""Verbs of a verb: `emma episodes convert`, `emma calibrate board`."""

import argparse
from collections.abc import Callable


def subverbs(parser: argparse.ArgumentParser) -> Callable[[str, str], argparse.ArgumentParser]:
    """A function that adds one, by its name and what it does; the first line of that is its line in the list."""
    verbs = parser.add_subparsers(dest="what", metavar="WHAT", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return verbs.add_parser(
            name,
            help=text.splitlines()[0],
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    return add
