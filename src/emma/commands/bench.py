"""`emma bench`: figures printed, and stored with commit, machine and seed."""

import argparse
import json
from pathlib import Path
from typing import Any

from emma.bench import NAMES, Bench

HELP = """measure: prints a table, writes JSON with commit, machine and seed

examples:
  emma bench loop --quick                 the shipped policy through the ROS graph, under a minute
  emma bench loop --json loop.json        the same over 100 episodes
  emma bench report                       docs/results.md from docs/results/*.json
  emma bench generalisation --sweeps --set seeds=1 --set steps=4000 --json generalisation.json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", choices=(*NAMES, "report"), help="which benchmark; report writes docs/results.md")
    parser.add_argument("--quick", action="store_true", help="end within two minutes on two quiet cores")
    parser.add_argument("--seed", type=int, default=10_000)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="option of a bench that has some; repeatable"
    )
    parser.add_argument(
        "--uncommitted", action="store_true", help="report: show figures of a tree with uncommitted changes, marked"
    )
    parser.add_argument(
        "--sweeps", action="store_true", help="generalisation: one thing of the full recipe changed at a time, too"
    )


def run(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from emma.bench import load_bench
    from emma.bench.joins_plot import plot_joins
    from emma.bench.report import render
    from emma.bench.tables import TABLES
    from emma.files import atomic_write_text
    from emma.provenance import write_figures

    if args.name == "report":
        docs = Path(__file__).resolve().parents[3] / "docs"
        atomic_write_text(docs / "results.md", render(docs / "results", uncommitted=args.uncommitted))
        print(f"wrote {docs / 'results.md'}")
        if (docs / "results" / "joins.json").is_file():
            plot_joins(
                json.loads((docs / "results" / "joins.json").read_text())["figures"], docs / "results" / "joins.png"
            )
        for file in sorted((docs / "results").glob("*.json")):
            # A bench with several pages says after an underscore which.
            name = file.stem.partition("_")[0]
            if name in NAMES and (draw := load_bench(name).draw) is not None:
                draw(json.loads(file.read_text())["figures"], file.parent)
        return 0
    bench = load_bench(args.name)
    options = _options(args, bench)
    figures = bench.run_with(args.quick, args.seed, options) if bench.run_with else bench.run(args.quick, args.seed)
    table = Table(title=f"emma bench {args.name}{' --quick' if args.quick else ''}: {bench.help}")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for key, value in figures.items():
        if not (isinstance(value, list) and value and isinstance(value[0], dict)):
            table.add_row(key, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(table)
    if bench.draw is not None:
        print("\n".join(line for line in TABLES[args.name](figures) if not line.startswith("![")))
    if args.json:
        words = "".join(f" --set {text}" for text in args.set)
        command = f"emma bench {args.name}{' --quick' if args.quick else ''}{' --sweeps' if args.sweeps else ''}{words}"
        write_figures(args.json, figures, seed=args.seed, command=command)
        print(f"wrote {args.json}")
    return 0


def _options(args: argparse.Namespace, bench: Bench) -> dict[str, Any]:
    """What `--set` and `--sweeps` say, values as JSON or plain text."""
    from emma.errors import EmmaError

    options: dict[str, Any] = {"sweeps": True} if args.sweeps else {}
    for text in args.set:
        key, separator, value = text.partition("=")
        if not separator:
            raise EmmaError(f"bad --set {text}", found=text, expected="KEY=VALUE, the value as JSON or plain text")
        try:
            options[key] = json.loads(value)
        except json.JSONDecodeError:
            options[key] = value
    if options and bench.run_with is None:
        raise EmmaError(f"the bench {args.name} has no options", found=", ".join(options), expected="none")
    return options
