"""The proof as tables for people: rows against appearances, what each part gains, the sweeps."""

from collections.abc import Mapping, Sequence
from typing import Any

from emma.bench.generalisation.plan import MOVED

APPEARANCES = (
    "source",
    "small",
    "medium",
    "large",
    "looks",
    MOVED,
    "unseen_1",
    "unseen_2",
    "unseen_3",
    "unseen_4",
    "mean_unseen",
)
TITLES = {"looks": "random looks"}
GAINS = {
    "gain_generator": "the generator (unfiltered against real only)",
    "gain_filter": "the filter (FixMix against unfiltered)",
    "gain_reweighting": "the reweighting (AdaMix against FixMix)",
    "gain_reweighting_source": "the same against the source (AdaMix against FixMix)",
    "gain_recipe": "the whole recipe (AdaMix against real only)",
}


def generalisation(figures: Mapping[str, Any]) -> list[str]:
    """Markdown lines. Of sweeps without a table, those alone."""
    if "rows" not in figures:
        return [*sweeps(figures)[1:], *_difficulty(figures), *_looks(figures)]
    most = max((row.get("trainings", 0) for row in figures["rows"]), default=0)
    names = columns(figures["rows"])
    return [
        "| trained on | "
        + " | ".join(TITLES.get(name, name.replace("_", " ")) for name in names)
        + " | / max(real, 5 %) |",
        "|---" * (len(names) + 2) + "|",
        *(_row(row, names, most) for row in figures["rows"]),
        "",
        *_gains(figures),
        *sweeps(figures),
        *_difficulty(figures),
        *_filter(figures),
        *_looks(figures),
        "",
        f"![Success by appearance](results/{page(figures)}.png)",
        "",
        f"![Every appearance, the same moments](results/{page(figures)}-appearances.png)",
    ]


def columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The appearances of a table's rows. Only policies that ship are tried with moved cameras."""
    moved = any(row.get(MOVED) is not None for row in rows)
    return [name for name in APPEARANCES if name != MOVED or moved]


def sweeps(figures: Mapping[str, Any]) -> list[str]:
    """Markdown lines: a table a sweep, each line a setting."""
    lines = []
    for sweep in dict.fromkeys(line["sweep"] for line in figures.get("sweeps", ())):
        lines += ["", f"| {sweep} | trainings | graded shifts | random looks | points there | source |"]
        lines += ["|---|---|---|---|---|---|"]
        mine = [line for line in figures["sweeps"] if line["sweep"] == sweep]
        lines += [
            f"| {line['setting']} | {line.get('trainings', '-')} | {_cell(line, 'graded')} | {_cell(line, 'looks')} "
            f"| {_points(line, 'looks_gain')} | {_cell(line, 'source')} |"
            for line in mine
        ]
    return lines


def _looks(figures: Mapping[str, Any]) -> list[str]:
    rows = figures.get("looks") or []
    if not rows:
        return []
    names = ("plain", "speckled", "checker")
    return [
        "",
        "Random looks: success by the table's pattern; the prediction error on what was trained on beside the "
        "demonstrations (on these, if nothing was), and on an expert's motions in these looks; the probability that it "
        "is larger where the policy then fails.",
        "",
        "| trained on | " + " | ".join(names) + " | error, trained | error, looks | larger where it fails |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {row['about']} ({row['trainings']}) | "
            + " | ".join(f"{row[name]:.0%}" if name in row else "-" for name in names)
            + f" | {row['error_trained']:.4f} | {row['error_looks']:.4f} | "
            + (f"{row['auc_looks']:.0%} |" if "auc_looks" in row else "- |")
            for row in rows
        ),
    ]


def page(figures: Mapping[str, Any]) -> str:
    """What the files of a table are called: those of another task than the first say which."""
    from emma.sim.tasks import DEFAULT

    task = figures.get("task", DEFAULT)
    return "generalisation" if task == DEFAULT else f"generalisation_{task}"


def _row(row: Mapping[str, Any], names: Sequence[str], most: int) -> str:
    """most: trainings of the row that has most of them; fewer are said."""
    if row["state"] == "missing":
        return f"| {row['about']} | " + " | ".join(["-"] * (len(names) + 1)) + " |"
    ratio = "-" if row["ratio"] is None else f"{row['ratio']:.1f}"
    about = row["about"]
    if row["trainings"] < most:
        about += f" ({row['trainings']} of {most} trainings)"
    return f"| {about} | " + " | ".join(_cell(row, name) for name in names) + f" | {ratio} |"


def _cell(row: Mapping[str, Any], name: str) -> str:
    if row.get(name) is None:
        return "-"
    low, high = row[f"{name}_interval"]
    return f"{row[name]:.0%} ({low * 100:.0f}-{high * 100:.0f})"


def _gains(figures: Mapping[str, Any]) -> list[str]:
    lines = ["| success gained by, in points | unseen | graded shifts | random looks |", "|---|---|---|---|"]
    for name, about in GAINS.items():
        if name not in figures:
            continue
        values = (_points(figures, name + where) for where in ("", "_graded", "_looks"))
        lines.append(f"| {about} | " + " | ".join(values) + " |")
    return lines


def _points(figures: Mapping[str, Any], name: str) -> str:
    if figures.get(name) is None:
        return "-"
    low, high = figures[f"{name}_interval"]
    return f"{figures[name] * 100:+.1f} ({low * 100:+.1f} to {high * 100:+.1f})"


def _filter(figures: Mapping[str, Any]) -> list[str]:
    rows = figures.get("filter_scores") or []
    if not rows:
        return []
    return [
        "",
        f"What the filter's scores go with, and what AdaMix finds hard ({rows[0]['clips']} kept clips, rank "
        "correlations): the contrast of a look, and the error of the pictures against the simulator's true ones, "
        "relative to their variance.",
        "",
        "| score | with contrast | with the true error |",
        "|---|---|---|",
        *(f"| {row['score']} | {row['with_contrast']:+.2f} | {row['with_error']:+.2f} |" for row in rows),
    ]


def _difficulty(figures: Mapping[str, Any]) -> list[str]:
    rows = figures.get("difficulty") or []
    if not rows:
        return []
    return [
        "",
        f"What AdaMix found hard ({rows[0]['trainings']} trainings; its weights left {rows[0]['effective']:.0%} of the "
        "samples effective). Explained by motion: the share of the spread among clips that the demonstration they were "
        "made from explains; the rest is the look.",
        "",
        "| metric | by motion, at the start | by motion, later | correlation with the next evaluation |",
        "|---|---|---|---|",
        *(
            f"| {row['metric']} | {row['motion_first']:.0%} | {row['motion_later']:.0%} | {row['again']:.2f} |"
            for row in rows
        ),
        *_learnt(rows),
    ]


def _learnt(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    row = next((row for row in rows if row.get("look_last") is not None), None)
    if row is None:
        return []
    first, later, last = (f"{row[name]:.0%}" for name in ("look_first", "look_later", "look_last"))
    return [
        "",
        "What the looks cost: the share of the clips' prediction error that their demonstrations, the same actions in "
        f"the source look, do not have. It was {first} before the training, {later} at the second evaluation, {last} "
        "at the last.",
    ]
