"""The proof as tables for people: rows against appearances, what each part gains, the sweeps."""

from collections.abc import Mapping
from typing import Any

APPEARANCES = ("source", "small", "medium", "large", "unseen_1", "unseen_2", "unseen_3", "unseen_4", "mean_unseen")
GAINS = {
    "gain_generator": "the generator (unfiltered against real only)",
    "gain_filter": "the filter (FixMix against unfiltered)",
    "gain_reweighting": "the reweighting (AdaMix against FixMix)",
    "gain_recipe": "the whole recipe (AdaMix against real only)",
}


def generalisation(figures: Mapping[str, Any]) -> list[str]:
    """Markdown lines."""
    lines = [
        "| trained on | " + " | ".join(name.replace("_", " ") for name in APPEARANCES) + " | / max(real, 5 %) |",
        "|---" * (len(APPEARANCES) + 2) + "|",
        *(_row(row) for row in figures["rows"]),
        "",
        *_gains(figures),
    ]
    for sweep in dict.fromkeys(line["sweep"] for line in figures.get("sweeps", ())):
        lines += ["", f"| {sweep} | graded shifts | source |", "|---|---|---|"]
        mine = [line for line in figures["sweeps"] if line["sweep"] == sweep]
        lines += [f"| {line['setting']} | {_cell(line, 'graded')} | {_cell(line, 'source')} |" for line in mine]
    return [
        *lines,
        "",
        f"![Success by appearance](results/{page(figures)}.png)",
        "",
        f"![Every appearance, the same moments](results/{page(figures)}-appearances.png)",
    ]


def page(figures: Mapping[str, Any]) -> str:
    """What the files of a table are called: those of another task than the first say which."""
    from emma.sim.tasks import DEFAULT

    task = figures.get("task", DEFAULT)
    return "generalisation" if task == DEFAULT else f"generalisation_{task}"


def _row(row: Mapping[str, Any]) -> str:
    if row["state"] == "missing":
        return f"| {row['about']} | " + " | ".join(["-"] * (len(APPEARANCES) + 1)) + " |"
    ratio = "-" if row["ratio"] is None else f"{row['ratio']:.1f}"
    return f"| {row['about']} | " + " | ".join(_cell(row, name) for name in APPEARANCES) + f" | {ratio} |"


def _cell(row: Mapping[str, Any], name: str) -> str:
    if row.get(name) is None:
        return "-"
    low, high = row[f"{name}_interval"]
    return f"{row[name]:.0%} ({low * 100:.0f}-{high * 100:.0f})"


def _gains(figures: Mapping[str, Any]) -> list[str]:
    lines = ["| mean unseen success gained by | points | 95 % interval |", "|---|---|---|"]
    for name, about in GAINS.items():
        if figures.get(name) is None:
            lines.append(f"| {about} | - | - |")
            continue
        low, high = figures[f"{name}_interval"]
        lines.append(f"| {about} | {figures[name] * 100:+.1f} | {low * 100:+.1f} to {high * 100:+.1f} |")
    return lines
