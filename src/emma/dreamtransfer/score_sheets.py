"""Scores and clips as pictures: histograms, and sheets with one clip a row."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from emma.errors import EmmaError
from emma.files import atomic_write_bytes

# Small pictures are enlarged to this height on a sheet.
TILE_HEIGHT = 96
TITLE_HEIGHT = 18


def histograms(file: Path, scores: Sequence[Mapping[str, float]]) -> None:
    """One histogram per score that could be had, as PNG."""
    import io

    from matplotlib.figure import Figure

    names = [n for n in (scores[0] if scores else ()) if any(np.isfinite(s[n]) for s in scores)]
    figure = Figure(figsize=(3.2 * max(1, len(names)), 2.6), layout="constrained")
    for axis, name in zip(figure.subplots(1, max(1, len(names)), squeeze=False)[0], names or [""], strict=True):
        values = np.array([s[name] for s in scores if np.isfinite(s[name])]) if name else np.zeros(0)
        axis.hist(values, bins=min(30, max(5, len(values) // 4)), color="tab:blue")
        axis.set_title(name or "no scores", fontsize="small")
        axis.tick_params(labelsize="x-small")
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    atomic_write_bytes(file, data.getvalue())


def sheet(file: Path, clips: Sequence[Mapping[str, np.ndarray]], titles: Sequence[str], moments: int = 6) -> None:
    """One titled row per clip, as PNG: `moments` moments spread over it, its views side by side at each.

    clips: each camera -> (T, H, W, 3) uint8, all of one size.
    """
    rows = [row(images, title, moments) for images, title in zip(clips, titles, strict=True)]
    if not rows:
        return
    width = max(r.shape[1] for r in rows)
    page = np.concatenate([cv2.copyMakeBorder(r, 0, 2, 0, width - r.shape[1], cv2.BORDER_CONSTANT) for r in rows])
    done, data = cv2.imencode(".png", page[..., ::-1])
    if not done:
        raise EmmaError(f"cannot write {file}", found="the sheet is no picture", expected=f"{page.shape}")
    atomic_write_bytes(file, data.tobytes())


def row(images: Mapping[str, np.ndarray], title: str, moments: int) -> np.ndarray:
    """(TITLE_HEIGHT + tile, W, 3) uint8: one clip at some moments, with its title in plain ASCII letters."""
    length = len(next(iter(images.values())))
    tiles = []
    for t in np.linspace(0, length - 1, moments).round().astype(int):
        for pictures in images.values():
            scale = max(1, round(TILE_HEIGHT / pictures.shape[1]))
            tiles.append(cv2.resize(pictures[t], None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST))
        tiles.append(np.zeros((tiles[-1].shape[0], 3, 3), np.uint8))
    strip = np.concatenate(tiles, axis=1)
    head = np.full((TITLE_HEIGHT, strip.shape[1], 3), 255, np.uint8)
    plain = title.encode("ascii", "replace").decode()
    cv2.putText(head, plain, (4, TITLE_HEIGHT - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([head, strip])
