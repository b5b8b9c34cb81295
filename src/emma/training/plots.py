"""The loss over a run, as a picture."""

import json
from pathlib import Path


def plot_loss(log: Path, picture: Path) -> None:
    """Draw loss (log scale) and learning rate over steps from a run's JSON lines."""
    from matplotlib.figure import Figure

    rows = [json.loads(line) for line in log.read_text().splitlines()]
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.add_subplot()
    steps = [row["step"] for row in rows]
    axes.semilogy(steps, [row["loss"] for row in rows], color="tab:blue", linewidth=1)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    rate = axes.twinx()
    rate.plot(steps, [row["lr"] for row in rows], color="tab:orange", linewidth=1)
    rate.set_ylabel("learning rate")
    figure.savefig(picture, dpi=120)
