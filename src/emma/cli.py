"""The verbs, nothing else. Each is a module in `emma.commands` with HELP, configure(parser) and run(args) -> code."""

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence

from emma import __version__, interrupts, signs
from emma.errors import EmmaError
from emma.files import room_for

VERBS = (
    "doctor",
    "robots",
    "envs",
    "demo",
    "record",
    "console",
    "view",
    "episodes",
    "dataset",
    "collect",
    "augment",
    "human",
    "dream",
    "train",
    "eval",
    "export",
    "compile",
    "improve",
    "calibrate",
    "bench",
    "node",
)

EPILOG = """\
the loop in six commands:
  emma record --episodes 20 --operator scripted --out bags     demonstrations through the ROS graph into bags
  emma episodes convert bags --out dataset                     bags -> LeRobotDataset v3
  emma train --data dataset --policy spatial_flow --out models/mine
  emma eval models/mine                                        closed loop, success with a 95 % interval
  emma eval models/mine --ros                                  the same through the ROS graph
  emma demo --policy models/mine                               watch it work
"""


def build_parser(only: str = "") -> argparse.ArgumentParser:
    """The command line with every verb. only: the verb that is asked for, so that the others need no import."""
    parser = argparse.ArgumentParser(
        prog="emma",
        description="A robot workstation that improves itself: record, augment, train, compile, deploy.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"emma {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name in (only,) if only in VERBS else VERBS:
        module = importlib.import_module(f"emma.commands.{name}")
        verb = verbs.add_parser(
            name,
            help=module.HELP.splitlines()[0].replace("%", "%%"),  # argparse formats this one
            description=module.HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.configure(verb)
        verb.set_defaults(run=module.run, parser=verb)
    return parser


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The verb's arguments; a mistake shows the usage of the verb, not of the whole program, and exits with 2."""
    argv = sys.argv[1:] if argv is None else argv
    parser = build_parser(argv[0] if argv else "")
    args, rest = parser.parse_known_args(argv)
    if rest:
        args.parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb. 0: done; 1: the verb says no; 2: bad input; 128 + n: ended by signal n."""
    # Where torchcodec finds no FFmpeg, LeRobot reads videos by PyAV; it says so with a page of stack traces.
    logging.getLogger("lerobot.utils.import_utils").setLevel(logging.ERROR)
    try:
        args = parse(argv)
        interrupts.titled(f"emma {args.verb}")
        with interrupts.raising(), signs.of_life(f"emma {args.verb}"), signs.doing("at work"):
            return _run(args)
    except EmmaError as error:
        print(f"emma: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        code = interrupts.exit_code(error)
        print(interrupts.last_line(code - 128), end="", file=sys.stderr)
        return code


def _run(args: argparse.Namespace) -> int:
    serves = getattr(importlib.import_module(f"emma.commands.{args.verb}"), "SERVES", False)
    with room_for(f"emma {args.verb}", "make room and run it again: what was whole is kept"):
        try:
            code: int = args.run(args)
        except SystemExit:  # some libraries answer a signal themselves
            if not interrupts.came():
                raise
            code = 1
    # A verb that keeps what it has by then ends in order; who started it still learns that it was cut short.
    if interrupts.came() and not serves:
        raise interrupts.Interrupted(interrupts.came())
    return code


if __name__ == "__main__":
    interrupts.begin("emma")
    sys.exit(main())
