"""The report of an augmentation: one HTML page that needs nothing else, and its sheets as PNG files."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emma.augmentation.page_template import PAGE
from emma.augmentation.sheets import COLOURS, pictures, png, sheet, strip
from emma.datasets.source import SourceDataset
from emma.files import atomic_write_bytes, atomic_write_text

# Pictures are for looking at; numbers of every clip are in the table.
_MAX_EPISODES, _MAX_REJECTED = 12, 24


@dataclass(frozen=True, kw_only=True)
class ClipRow:
    """One generated clip as the page tells it. index: its episode in the dataset where it is."""

    kind: str
    index: int
    episode: int
    variant: int
    prompt: str
    seed: int
    reason: str
    scores: Mapping[str, float | None]

    @property
    def title(self) -> str:
        return f"{self.prompt}" + (f"  [{self.reason}]" if self.reason else "")


@dataclass(frozen=True, kw_only=True)
class ScoreLine:
    """One score over all clips: numbers, and dots for an inline drawing (x in 0..100 and colour)."""

    name: str
    least: float
    median: float
    most: float
    dots: Sequence[tuple[float, str]] = field(default_factory=tuple)


def write_page(
    source: SourceDataset, out: Path, rejected: str, failed: Sequence[Mapping[str, Any]], folder: Path, count: int
) -> None:
    """Write `folder`/index.html and its sheets from the datasets alone: OUT, OUT/rejected and their provenance."""
    made = _opened(out, source.cameras)
    aside = _opened(out / rejected, source.cameras)
    rows = sorted([*_rows(made, "accepted"), *_rows(aside, "rejected")], key=lambda row: (row.episode, row.variant))

    def drawn(row: ClipRow) -> np.ndarray:
        dataset = made if row.kind == "accepted" else aside
        assert dataset is not None
        return strip(pictures(dataset, row.index, count))

    sections = []
    for episode in _spread(sorted({row.episode for row in rows}), _MAX_EPISODES):
        variants = [row for row in rows if row.episode == episode]
        strips = [("source", source_title(source, episode), strip(pictures(source, episode, count)))]
        strips += [(row.kind, row.title, drawn(row)) for row in variants]
        name = f"episode-{episode:06d}.png"
        atomic_write_bytes(folder / name, sheet(f"episode {episode}: {source.instruction(episode)}", strips))
        sections.append(_section(f"Episode {episode}", source.instruction(episode), name, strips, variants))
    losers = _spread([row for row in rows if row.kind == "rejected"], _MAX_REJECTED)
    if losers:
        strips = []
        for row in losers:
            strips += [("source", f"episode {row.episode}", strip(pictures(source, row.episode, count)))]
            strips += [(row.kind, row.title, drawn(row))]
        atomic_write_bytes(folder / "rejected.png", sheet("rejected clips, each below its source", strips))
    atomic_write_text(folder / "index.html", _html(source, out, rows, failed, sections, bool(losers)))


def write_preview(folder: Path, title: str, strips: Sequence[tuple[str, str, np.ndarray]]) -> Path:
    """One sheet, as PNG and as a page; returns the page."""
    atomic_write_bytes(folder / "preview.png", sheet(title, strips))
    atomic_write_text(
        folder / "index.html",
        _render(title="Preview", subtitle=title, facts=[], scores=[], rows=[], failed=[], losers=False,
                sections=[_section(title, "", "preview.png", strips, [])]),
    )  # fmt: skip
    return folder / "index.html"


def source_title(source: SourceDataset, episode: int) -> str:
    """How the source looked, where that is recorded."""
    line = source.provenance[episode] if episode < len(source.provenance) else {}
    return str(line.get("prompt") or line.get("caption") or line.get("domain") or "")


def _html(
    source: SourceDataset,
    out: Path,
    rows: Sequence[ClipRow],
    failed: Sequence[Mapping[str, Any]],
    sections: Sequence[Mapping[str, Any]],
    losers: bool,
) -> str:
    made = _opened(out, source.cameras) or _opened(out / "rejected", source.cameras)
    generator = made.provenance[0]["generator"] if made is not None and made.provenance else {}
    accepted = sum(row.kind == "accepted" for row in rows)
    facts = [
        ("clips", str(len(rows) + len(failed))),
        ("accepted", str(accepted)),
        ("rejected", f"{len(rows) - accepted}" + (f" ({(len(rows) - accepted) / len(rows):.0%})" if rows else "")),
        ("source episodes", str(len({row.episode for row in rows}))),
        ("cameras", ", ".join(source.cameras)),
        ("generator", f"{generator.get('name', '-')} {str(generator.get('sha256', ''))[:12]}"),
    ]
    if failed:
        facts.insert(3, ("not made", str(len(failed))))
    return _render(
        title=f"Augmentation of {source.root.name}",
        subtitle=str(out),
        facts=facts,
        scores=_scores(rows),
        rows=rows,
        failed=failed,
        sections=sections,
        losers=losers,
    )


def _render(**values: Any) -> str:
    from jinja2 import Environment

    return (
        Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        .from_string(PAGE)
        .render(**values, colours=COLOURS)
    )


def _section(
    title: str, text: str, file: str, strips: Sequence[tuple[str, str, np.ndarray]], variants: Sequence[ClipRow]
) -> dict[str, Any]:
    shown: list[ClipRow | None] = [None] * (len(strips) - len(variants)) + list(variants)
    return {
        "title": title,
        "text": text,
        "file": file,
        "strips": [
            {
                "kind": kind,
                "text": row.prompt if row else words,
                "row": row,
                "image": base64.b64encode(png(picture)).decode(),
                "width": picture.shape[1],
                "height": picture.shape[0],
            }
            for (kind, words, picture), row in zip(strips, shown, strict=True)
        ],
    }


def _scores(rows: Sequence[ClipRow]) -> list[ScoreLine]:
    lines = []
    for name in dict.fromkeys(name for row in rows for name in row.scores):
        known = [(value, row.kind) for row in rows if (value := row.scores.get(name)) is not None]
        values = np.array([value for value, _ in known], np.float64)
        if len(values):
            low, span = float(values.min()), float(values.max() - values.min()) or math.inf
            dots = [((value - low) / span * 100, COLOURS[kind]) for value, kind in known]
            lines.append(
                ScoreLine(name=name, least=low, median=float(np.median(values)), most=float(values.max()), dots=dots)
            )
    return lines


def _rows(dataset: SourceDataset | None, kind: str) -> list[ClipRow]:
    return [
        ClipRow(
            kind=kind,
            index=index,
            episode=int(entry["from"]["episode"]),
            variant=int(entry["variant"]),
            prompt=str(entry["prompt"]),
            seed=int(entry["seed"]),
            reason=str(entry.get("reason") or ""),
            scores=entry.get("scores") or {},
        )
        for index, entry in enumerate(() if dataset is None else dataset.provenance)
    ]


def _opened(root: Path, cameras: Sequence[str]) -> SourceDataset | None:
    return SourceDataset.open(root).only(cameras) if (root / "meta/info.json").is_file() else None


def _spread[T](values: Sequence[T], count: int) -> list[T]:
    if len(values) <= count:
        return list(values)
    return [values[round(i)] for i in np.linspace(0, len(values) - 1, count)]
