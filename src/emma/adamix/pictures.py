"""A run's AdaMix to look at: curves over its evaluations, and what the hardest episodes look like."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from emma.adamix.difficulty import METRICS
from emma.files import atomic_write_bytes

TITLE_PX, GAP_PX = 18, 2
# Pictures of a sheet are shown no smaller than this many pixels wide.
TILE_WIDTH = 96
QUANTILES = (0.0, 0.1, 0.5, 0.9, 1.0)


def plot_history(rows: Sequence[dict[str, Any]], names: Sequence[str], picture: Path) -> None:
    """Draw performance, weights by episode, the three metrics and the effective samples over steps."""
    from matplotlib.figure import Figure

    steps = [row["step"] for row in rows]
    p = np.array([row["performance"] for row in rows])
    w = np.array([row["weights"] for row in rows])
    figure = Figure(figsize=(11, 6.5))
    (top_left, top_right), (bottom_left, bottom_right) = figure.subplots(2, 2)
    for quantile in QUANTILES:
        top_left.plot(steps, np.quantile(p, quantile, axis=1), marker=".", label=f"{quantile:.0%}")
    top_left.set(title="performance P, quantiles over episodes", ylim=(-0.02, 1.02))
    top_left.legend(fontsize="small")
    image = top_right.imshow(w.T, aspect="auto", interpolation="nearest", cmap="viridis")
    top_right.set(title="weight by episode", ylabel="episode", xlabel="evaluation")
    figure.colorbar(image, ax=top_right)
    for metric in METRICS:
        seen = [(row["step"], float(np.mean(row[metric]))) for row in rows if metric in row]
        if seen:
            bottom_left.plot(*zip(*seen, strict=True), marker=".", label=metric)
    bottom_left.set(title="mean of the min-maxed metrics (0 easy, 1 hard)", xlabel="step")
    bottom_left.legend(fontsize="small")
    bottom_right.plot(steps, [row["effective"] for row in rows], marker=".", label="effective samples, share")
    for row in rows:
        if row["reset"]:
            bottom_right.axvline(row["step"], color="tab:red", linewidth=1)
    bottom_right.plot(steps, w.max(1) / w.mean(1), marker=".", label="largest weight, times the mean")
    bottom_right.set(title="red: reset to uniform", xlabel="step")
    bottom_right.legend(fontsize="small")
    figure.suptitle(f"{len(names)} episodes, hardest now: {names[int(np.argmin(p[-1]))]}", fontsize="medium")
    figure.subplots_adjust(0.06, 0.07, 0.98, 0.9, 0.15, 0.3)
    figure.savefig(picture, dpi=90)


def contact_sheet(rows: Sequence[tuple[str, np.ndarray]], picture: Path) -> None:
    """Write a PNG with a titled row of pictures (T, H, W, 3) uint8 RGB for each entry."""
    bands = []
    for title, images in rows:
        scale = max(1, round(TILE_WIDTH / images.shape[2]))
        tiles = [np.pad(np.kron(i, np.ones((scale, scale, 1), np.uint8)), _GAP, constant_values=255) for i in images]
        band = np.hstack(tiles)
        head = np.full((TITLE_PX, band.shape[1], 3), 255, np.uint8)
        cv2.putText(head, title, (3, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
        bands += [head, band]
    width = max(band.shape[1] for band in bands)
    bands = [np.pad(b, ((0, 0), (0, width - b.shape[1]), (0, 0)), constant_values=255) for b in bands]
    ok, png = cv2.imencode(".png", cv2.cvtColor(np.vstack(bands), cv2.COLOR_RGB2BGR))
    if not ok:
        raise ValueError(f"cannot encode a sheet of {len(rows)} rows")
    atomic_write_bytes(picture, bytes(png))


_GAP = ((0, GAP_PX), (0, GAP_PX), (0, 0))
