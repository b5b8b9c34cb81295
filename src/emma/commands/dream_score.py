"""`emma dream score`: how good the episodes of a generated dataset are, by pictures, depth, poses and prompt alone."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emma.device import AUTO
from emma.device import HELP as DEVICES

if TYPE_CHECKING:
    from emma.dreamtransfer.dataset import DatasetClips

HELP = """score the episodes of a dataset of generated pictures: table, JSON, histograms, a sheet of the worst

Works for any robot: edges against depth edges, colours of the same point across views and from frame to frame (with
depth and calibration), points that a matcher finds in both views; with --depth-model and --text-model (names on the
hub, or folders; transformers) depth error and fit to the prompt. docs/reference/dream-metrics.md has the formulas.

Nothing is removed: the table says which episodes a filter of this strictness would reject, and why.

examples:
  emma dream score data/generated
  emma dream score data/generated --out scores --reject 0.1 --depth-model depth-anything/Depth-Anything-V2-Small-hf
"""

# Episodes on the sheet of the worst, moments of each.
WORST, MOMENTS = 8, 6


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, help="LeRobotDataset folder, as `emma augment` writes it")
    parser.add_argument("--cameras", nargs="+", metavar="NAME", help="views to score (default all)")
    parser.add_argument("--reject", type=float, default=0.07, help="share that a filter would reject (default 0.07)")
    parser.add_argument("--depth-model", metavar="NAME", help="depth model of transformers; without one no depth error")
    parser.add_argument("--text-model", metavar="NAME", help="CLIP-like model of transformers; else no text score")
    parser.add_argument("--device", default=AUTO, help=f"where the models run: {DEVICES} (default auto)")
    parser.add_argument("--episodes", type=int, metavar="N", help="only the first N")
    parser.add_argument(
        "--out", type=Path, help="folder for scores.json, scores.png, worst.png (default DATASET-scores)"
    )


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from emma.device import choose_device
    from emma.dreamtransfer.camera_poses import poses_or_none
    from emma.dreamtransfer.dataset import DatasetClips
    from emma.dreamtransfer.filter import decide
    from emma.dreamtransfer.filter_config import FilterConfig
    from emma.dreamtransfer.metrics.models import TransformersDepth, TransformersText
    from emma.dreamtransfer.scorer import ClipScorer
    from emma.progress import progress_bar
    from emma.provenance import write_figures

    config = FilterConfig(reject=args.reject)
    clips = DatasetClips.open(args.dataset, views=args.cameras)
    clips = DatasetClips.open(args.dataset, views=args.cameras, poses=poses_or_none(str(clips.meta.robot_type)))
    device = choose_device(args.device)
    print(f"device: {device}", flush=True)
    scorer = ClipScorer(
        depth_model=TransformersDepth(args.depth_model, device.name) if args.depth_model else None,
        text_model=TransformersText(args.text_model, device.name) if args.text_model else None,
    )
    scores = []
    count = len(clips) if args.episodes is None else min(args.episodes, len(clips))
    with progress_bar() as bar:
        task = bar.add_task("score", total=count, note="")
        for index in range(count):
            clip = clips[index].clip
            scores.append(scorer(clip, clip.images, clips.caption(index) if args.text_model else ""))
            bar.advance(task)
    decisions = decide(scores, config)

    figures = summary(scores, [d.accepted for d in decisions])
    Console().print(_table(str(args.dataset), scores, config.more_is_better))
    for index, decision in enumerate(decisions):
        if not decision.accepted:
            print(f"episode {index}: {decision.reason}")
    out = args.out or args.dataset.with_name(f"{args.dataset.resolve().name}-scores")
    rows = [
        {"episode": i, "scores": s, "accepted": d.accepted, "reason": d.reason}
        for i, (s, d) in enumerate(zip(scores, decisions, strict=True))
    ]
    write_figures(out / "scores.json", figures, seed=0, dataset=str(args.dataset), episodes=rows)
    _pictures(out, clips, scores, config.more_is_better)
    print(f"wrote {out}/scores.json, scores.png and worst.png")
    return 0


def summary(scores: "list[dict[str, float]]", accepted: list[bool]) -> dict[str, Any]:
    """Count, share kept, and each score's mean, 5 % and 95 % quantile over the episodes where it could be had."""
    import numpy as np

    figures: dict[str, Any] = {"episodes": len(scores), "accepted": sum(accepted)}
    for name in scores[0] if scores else ():
        values = np.array([s[name] for s in scores])
        values = values[np.isfinite(values)]
        if len(values):
            figures[name] = float(values.mean())
            figures[f"{name}_p5_p95"] = [float(q) for q in np.quantile(values, (0.05, 0.95))]
    return figures


def _table(title: str, scores: "list[dict[str, float]]", judged: Any) -> Any:
    import numpy as np
    from rich.table import Table

    table = Table(title=f"{title}: {len(scores)} episodes")
    for column in ("score", "better", "mean", "5 %", "median", "95 %", "not to be had"):
        table.add_column(column, justify="left" if column in ("score", "better") else "right")
    for name in scores[0] if scores else ():
        values = np.array([s[name] for s in scores])
        known = values[np.isfinite(values)]
        cells = (
            [f"{v:.3g}" for v in (known.mean(), *np.quantile(known, (0.05, 0.5, 0.95)))] if len(known) else ["-"] * 4
        )
        direction = {True: "more", False: "less", None: "not judged"}[judged.get(name)]
        table.add_row(name, direction, *cells, str(len(values) - len(known)))
    return table


def _pictures(out: Path, clips: "DatasetClips", scores: "list[dict[str, float]]", judged: Any) -> None:
    from emma.dreamtransfer.filter import worst_first
    from emma.dreamtransfer.score_sheets import histograms, sheet

    histograms(out / "scores.png", scores)
    worst = worst_first(scores, judged)[:WORST]
    titles = [f"episode {i}: {why}" for i, why in worst]
    sheet(out / "worst.png", [clips[i].clip.images for i, _ in worst], titles, MOMENTS)
