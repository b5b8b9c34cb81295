"""`emma dream`: what makes generated episodes, and what judges them."""

import argparse
import importlib

HELP = """DreamTransfer: caption videos, train generators, score generated episodes

examples:
  emma dream train --data data/clips --views top wrist --out models/mine
  emma dream score data/generated            how good each episode is: table, JSON, histograms, the worst on a sheet
"""

# Each is a module emma.commands.dream_<name> with HELP, configure(parser) and run(args) -> code.
VERBS = ("caption", "train", "score")


def configure(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    for name in VERBS:
        module = importlib.import_module(f"emma.commands.dream_{name}")
        verb = verbs.add_parser(
            name,
            help=module.HELP.splitlines()[0].replace("%", "%%"),
            description=module.HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.configure(verb)
        verb.set_defaults(dream=module.run)


def run(args: argparse.Namespace) -> int:
    code: int = args.dream(args)
    return code
