"""`emma dataset`: check a LeRobotDataset, and edit it into a new one."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emma.commands import dataset_validate

HELP = """edit a LeRobotDataset: trim, delete, split, merge, relabel, mark; always into a new dataset

Edits count in the original dataset, in the order in which they are given, and are applied together: the original is
only read. Without --out they are kept beside the dataset (NAME.edits.json), where `emma console` shows them too;
--list prints them and what the result would be, --undo takes the newest back.

Whole episodes come first in the result, in their order, then those that were cut, then merged datasets.

examples:
  emma dataset edit data/real --trim 3 10 180 --delete 7 --out data/clean
  emma dataset edit data/real --split 4 120 --relabel 4 "open the drawer"       kept for later
  emma dataset edit data/real --list
  emma dataset edit data/real --undo
  emma dataset edit data/real --out data/clean                                  applies what was kept
"""


class _Add(argparse.Action):
    """Edits in the order of the command line, whatever their kinds."""

    def __call__(self, _parser: Any, namespace: Any, values: Any, option: str | None = None) -> None:
        given = [*(namespace.given or ()), (str(option).lstrip("-"), values if isinstance(values, list) else [values])]
        namespace.given = given


def configure(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    edit = verbs.add_parser(
        "edit",
        help="edit a dataset into a new one",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    edit.add_argument("dataset", type=Path, help="dataset folder; it is only read")
    edit.set_defaults(given=[])
    for name, count, metavar, text in (
        ("trim", 3, ("EPISODE", "FIRST", "END"), "keep frames FIRST up to END, without END"),
        ("delete", None, "EPISODE", "leave an episode out"),
        ("split", 2, ("EPISODE", "FRAME"), "begin a new episode at FRAME"),
        ("relabel", 2, ("EPISODE", "WORDS"), "another instruction"),
        ("success", None, "EPISODE", "mark as a success"),
        ("failure", None, "EPISODE", "mark as a failure"),
        ("merge", None, "DATASET", "append the episodes of another dataset"),
    ):
        edit.add_argument(f"--{name}", action=_Add, nargs=count, metavar=metavar, dest=name, help=text)
    edit.add_argument("--list", action="store_true", help="print the edits and the result, change nothing")
    edit.add_argument("--undo", action="store_true", help="take the newest kept edit back")
    edit.add_argument("--out", type=Path, help="apply all edits into this new dataset")
    dataset_validate.configure(
        verbs.add_parser(
            "validate",
            help=dataset_validate.HELP.splitlines()[0],
            description=dataset_validate.HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )


def run(args: argparse.Namespace) -> int:
    return dataset_validate.run(args) if args.what == "validate" else _edit_dataset(args)


def _edit_dataset(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from emma.datasets.edits import apply_edits, load_edits, preview, save_edits
    from emma.datasets.files import dataset_root
    from emma.datasets.source import SourceDataset

    root = dataset_root(args.dataset)
    edits = load_edits(root)
    if args.undo:
        edits = edits.undone()
    for name, values in args.given:
        edits = edits.adding(_edit(name, values))
    source = SourceDataset.open(root)
    parts = preview(source, edits.edits)
    if args.out is not None:
        count = apply_edits(root, edits.edits, args.out, progress=print)
        save_edits(root, replace(edits, edits=()))
        print(f"{args.out}: {count} episodes; next: emma episodes validate {args.out}")
        return 0
    if not args.list:
        save_edits(root, edits)
    for number, edit in enumerate(edits.edits, 1):
        print(f"{number:3d}  {edit}")
    frames = sum(map(len, parts))
    print(
        f"{len(edits.edits)} edits; {len(source)} episodes become {len(parts)} with {frames} frames, merged ones apart"
    )
    return 0


def _edit(name: str, values: Sequence[str]) -> Any:
    from emma.datasets.edits import Edit

    if name == "merge":
        return Edit(kind="merge", dataset=str(Path(values[0]).resolve()))
    episode = _number(values[0])
    match name:
        case "trim":
            return Edit(kind="trim", episode=episode, first=_number(values[1]), end=_number(values[2]))
        case "split":
            return Edit(kind="split", episode=episode, at=_number(values[1]))
        case "relabel":
            return Edit(kind="relabel", episode=episode, words=values[1])
        case "success" | "failure":
            return Edit(kind="mark", episode=episode, success=name == "success")
        case _:
            return Edit(kind="delete", episode=episode)


def _number(text: str) -> int:
    from emma.errors import EmmaError

    if not text.isdigit():
        raise EmmaError("not a number of an episode or frame", found=text, expected="0, 1, 2, ...")
    return int(text)
