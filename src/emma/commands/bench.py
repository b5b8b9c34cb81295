"""`emma bench`: figures printed, and stored with commit, machine and seed."""

import argparse
import json
from pathlib import Path

from emma.bench import NAMES

HELP = """measure: prints a table, writes JSON with commit, machine and seed

examples:
  emma bench loop --quick                 the shipped policy through the ROS graph, under a minute
  emma bench loop --json loop.json        the same over 100 episodes
  emma bench report                       docs/results.md from docs/results/*.json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", choices=(*NAMES, "report"), help="which benchmark; report writes docs/results.md")
    parser.add_argument("--quick", action="store_true", help="end within a minute on two cores")
    parser.add_argument("--seed", type=int, default=10_000)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")


def run(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from emma.bench import load_bench
    from emma.bench.joins_plot import plot_joins
    from emma.bench.report import render
    from emma.files import atomic_write_text
    from emma.provenance import write_figures

    if args.name == "report":
        docs = Path(__file__).resolve().parents[3] / "docs"
        atomic_write_text(docs / "results.md", render(docs / "results"))
        print(f"wrote {docs / 'results.md'}")
        if (docs / "results" / "joins.json").is_file():
            plot_joins(
                json.loads((docs / "results" / "joins.json").read_text())["figures"], docs / "results" / "joins.png"
            )
        return 0
    bench = load_bench(args.name)
    figures = bench.run(args.quick, args.seed)
    table = Table(title=f"emma bench {args.name}{' --quick' if args.quick else ''}: {bench.help}")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for key, value in figures.items():
        if not (isinstance(value, list) and value and isinstance(value[0], dict)):
            table.add_row(key, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(table)
    if args.json:
        command = f"emma bench {args.name}{' --quick' if args.quick else ''}"
        write_figures(args.json, figures, seed=args.seed, command=command)
        print(f"wrote {args.json}")
    return 0
