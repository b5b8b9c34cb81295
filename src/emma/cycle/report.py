"""The report of a cycle: Markdown to read in a terminal, HTML with the picture, JSON beside them."""

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emma.cycle.gate import Verdict
from emma.cycle.job import Job
from emma.files import atomic_write_bytes, atomic_write_text

PAGE, TEXT, DATA, PLOT = "report.html", "report.md", "report.json", "report.png"
STYLE = (
    "body{font:16px sans-serif;max-width:56em;margin:2em auto}td,th{padding:.2em .8em;text-align:left}img{width:100%}"
)


def write_report(job: Job, verdict: Verdict, results: Mapping[str, Any]) -> None:
    """Write report.md, report.html, report.json and report.png into the cycle's folder."""
    folder = job.cycle.folder
    _plot(folder / PLOT, verdict, results["measure"])
    document = {"cycle": job.cycle.number, "baseline": job.cycle.baseline, "verdict": results, "stages": _stages(job)}
    atomic_write_text(folder / DATA, json.dumps(document, indent=2) + "\n")
    title, head, rows, notes = _content(job, verdict, results)
    lines = [f"# {title}", "", *notes, "", _markdown(head), _markdown(["---"] * len(head)), *map(_markdown, rows)]
    atomic_write_text(folder / TEXT, "\n".join([*lines, "", f"![comparison]({PLOT})"]) + "\n")
    cells = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    page = (
        f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>{STYLE}</style>"
        f"<h1>{html.escape(title)}</h1>" + "".join(f"<p>{html.escape(n.removeprefix('- '))}</p>" for n in notes if n)
    )
    page += "<table><tr>" + "".join(f"<th>{html.escape(c)}</th>" for c in head) + f"</tr>{cells}</table>"
    atomic_write_text(folder / PAGE, page + f"<img src='{PLOT}' alt='comparison'>\n")


def _content(
    job: Job, verdict: Verdict, results: Mapping[str, Any]
) -> tuple[str, list[str], list[list[str]], list[str]]:
    rates, number = results["measure"] == "simulator", job.cycle.number
    title = f"Cycle {number}: {'better' if verdict.promote else 'not better'}"
    low, high = verdict.interval
    unit = "success" if rates else "action error (standard deviations, less is better)"
    notes = [
        f"Compared with version {job.cycle.baseline} on {verdict.trials} trials from {verdict.starts} starts: {unit}.",
        "",
        f"Gain {_number(verdict.gain, rates, True)}, 95 % interval {_number(low, rates, True)} to "
        f"{_number(high, rates, True)}, p = {verdict.p:.4f}.",
        "",
        *([f"- Not promoted: {reason}." for reason in verdict.reasons] or ["It is promoted."]),
        "",
        *[f"- {line}" for line in _stages(job).values()],
    ]
    head = ["appearance" if rates else "episodes", "trials", "before", "after", "gain", "won", "lost"]
    rows = []
    for name, group in verdict.groups.items():
        sides = [_side(group, side, rates) for side in ("before", "after")]
        gain = _number(group["gain"], rates, True)
        rows.append([name, str(group["trials"]), *sides, gain, str(group["won"]), str(group["lost"])])
    return title, head, rows, notes


def _side(group: Mapping[str, Any], side: str, rates: bool) -> str:
    value = _number(group[side], rates) if rates else f"{-group[side]:.3f}"
    if not rates:
        return value
    low, high = group[f"{side}_interval"]
    return f"{value} ({low:.0%} to {high:.0%})"


def _number(value: Any, rates: bool, signed: bool = False) -> str:
    return (f"{value:+.1%}" if rates else f"{value:+.3f}") if signed else (f"{value:.0%}" if rates else f"{value:.3f}")


def _stages(job: Job) -> dict[str, str]:
    """A line for each stage before the comparison."""
    lines = {}
    for name, manifest in job.before.items():
        said = manifest.skipped or ", ".join(
            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in manifest.results.items()
            if isinstance(value, int | float | str) and not isinstance(value, bool)
        )
        lines[name] = f"{name}: {said or 'done'} ({manifest.seconds:.0f} s)"
    return lines


def _markdown(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _plot(path: Path, verdict: Verdict, measure: str) -> None:
    import io

    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 0.9 + 0.6 * max(1, len(verdict.groups))), layout="constrained")
    axes = figure.add_subplot()
    for k, side in enumerate(("before", "after")):
        values = [abs(float(group[side])) for group in verdict.groups.values()]
        places = [i + (k - 0.5) * 0.36 for i in range(len(values))]
        axes.barh(places, values, height=0.34, color=("#999999", "#2a7fba")[k], label=side)
        for place, value, group in zip(places, values, verdict.groups.values(), strict=True):
            if f"{side}_interval" in group:
                low, high = group[f"{side}_interval"]
                axes.errorbar(value, place, xerr=[[value - low], [high - value]], color="black", capsize=2)
    axes.set_yticks(range(len(verdict.groups)), list(verdict.groups))
    axes.invert_yaxis()
    axes.set_xlabel("success, Wilson 95 % intervals" if measure == "simulator" else "action error, less is better")
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    atomic_write_bytes(path, buffer.getvalue())
