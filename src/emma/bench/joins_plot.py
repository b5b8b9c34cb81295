"""The joins as a picture: success and smoothness against latency."""

from pathlib import Path
from typing import Any

PANELS = (
    ("success", "success"),
    ("disagreement", "new chunk against old at the join (rad)"),
    ("join_step", "largest step at a join (rad a tick)"),
    ("jerk", "jerk (rad/s³, rms)"),
)


def plot_joins(figures: dict[str, Any], picture: Path) -> None:
    """Draw what `emma bench joins` measured; bars are 95 % intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 3.8), layout="constrained")
    panels = figure.subplots(1, len(PANELS))
    for method in figures["methods"]:
        rows = [row for row in figures["cells"] if row["method"] == method]
        latencies = [row["latency_ms"] for row in rows]
        for axes, (key, label) in zip(panels, PANELS, strict=True):
            values = [row[key] for row in rows]
            (line,) = axes.plot(latencies, values, marker="o", markersize=4, label=rows[0]["about"])
            if key == "success":
                lows, highs = zip(*(row["success_interval"] for row in rows), strict=True)
                axes.vlines(latencies, lows, highs, color=line.get_color(), alpha=0.25)
            axes.set_xlabel("inference latency (ms)")
            axes.set_ylabel(label)
    panels[0].set_ylim(0, 1.02)
    panels[0].legend(fontsize=7, loc="lower left")
    figure.savefig(picture, dpi=120)
