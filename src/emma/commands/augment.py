"""`emma augment`: recorded episodes in other appearances."""

import argparse
from pathlib import Path

from emma.augmentation.config import AugmentConfig, AugmentReport, PromptSource, ToolOptions
from emma.dreamtransfer.filter_config import FilterConfig
from emma.errors import EmmaError
from emma.options import add_options, chosen

HELP = """re-imagine the episodes of a LeRobotDataset in other appearances

Actions, states and depth stay byte for byte; the pictures of all cameras are drawn anew, consistent with each other,
in looks that a prompt grammar says. Each variant of each episode has its own prompt. With --reject, the clips
whose scores are the worst of the run go to OUT/rejected. OUT/report/index.html shows every source beside its variants.

Interrupted (Ctrl+C, kill, full disk), the same command goes on where it stopped and ends with the same dataset.
docs/how-to/augmenting.md tells more.

examples:
  emma augment data/real --generator models/dreamtransfer_desk --prompts desk --preview 6
  emma augment data/real --generator models/dreamtransfer_desk --prompts desk --variants 4 --out data/generated
  emma augment data/real --prompts desk --prompt "a green cube, dim warm light" --out data/dim
  emma augment data/real --generator Wan2.1-VACE-1.3B --prompts kitchen.yaml --out data/kitchen --ray 10.0.0.5:6379
  emma augment data/real --prompts desk --keep-robot masks --set steps=8 --out data/same_arm
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("dataset", type=Path, help="LeRobotDataset folder to augment; only read")
    add("--out", type=Path, help="dataset folder to write; needed unless --preview (default then DATASET-preview)")
    add("--prompts", required=True, metavar="GRAMMAR", help="grammar of prompts: desk, or a YAML file of your own")
    add("--prompt", metavar="TEXT", help="what every variant shall show, in words of the grammar; the rest is drawn")
    add_options(parser, ToolOptions)
    add(
        "--keep-robot",
        nargs="?",
        const="",
        metavar="DIR",
        help="keep the robot's real pixels, by masks in the dataset (observation.mask.<camera>) or in DIR",
    )
    add_options(parser, AugmentConfig)
    add("--episodes", metavar="LIST", help="which of the dataset, such as 0-9,15 (default all)")
    add_options(parser, FilterConfig)
    add("--preview", type=int, metavar="K", help="only a sheet of K variants of the first episode's middle")
    add("--preview-frames", type=int, default=16, metavar="N", help="frames of each for it (default 16)")


def run(args: argparse.Namespace) -> int:
    from emma.datasets.files import dataset_root

    dataset_root(args.dataset)  # a wrong path is answered before the libraries load
    tools = ToolOptions(**chosen(ToolOptions, args), keep_robot=args.keep_robot)
    config = AugmentConfig(
        **chosen(AugmentConfig, args),
        episodes=_episodes(args.episodes),
        filter=FilterConfig(**chosen(FilterConfig, args)),
        also=tools.decisive,
    )
    if args.out is None and args.preview is None:
        raise EmmaError("no --out", expected="a folder for the new dataset", fix="or --preview 6 for a first look")
    prompts = _prompts(args)
    if args.preview is not None:
        return _preview(args, tools, config, prompts)
    return _augment(args, tools, config, prompts)


def _augment(args: argparse.Namespace, tools: ToolOptions, config: AugmentConfig, prompts: PromptSource) -> int:
    import sys

    from emma.augmentation.job import augment
    from emma.augmentation.tools import tools_for
    from emma.progress import progress_bar

    done = [0, 0]
    try:
        with progress_bar() as bar:
            task = bar.add_task("augment", total=None, note="starting")

            def advance(count: int, total: int, note: str) -> None:
                done[:] = count, total
                bar.update(task, completed=count, total=total, note=note)

            report = augment(args.dataset, args.out, tools_for(args.dataset, tools), prompts, config, advance)
    except KeyboardInterrupt:
        print(f"{done[0]} of {done[1]} clips are finished and kept; the same command goes on", file=sys.stderr)
        raise
    _print(report, args.out)
    return 0 if report.accepted else 1


def _preview(args: argparse.Namespace, tools: ToolOptions, config: AugmentConfig, prompts: PromptSource) -> int:
    from emma.augmentation.preview import preview
    from emma.augmentation.tools import tools_for

    folder = args.out or args.dataset
    folder = folder.with_name(f"{folder.resolve().name}-preview")
    page = preview(
        args.dataset,
        folder,
        tools_for(args.dataset, tools),
        prompts,
        config,
        variants=args.preview,
        frames=args.preview_frames,
    )
    print(f"{page} and {page.with_name('preview.png')}")
    return 0


def _prompts(args: argparse.Namespace) -> PromptSource:
    from emma.dreamtransfer.prompts import Grammar

    grammar = Grammar.load(args.prompts)
    if args.prompt is None:
        return grammar.sample
    fixed = grammar.parse(args.prompt).words
    return lambda n, seed: grammar.sample(n, seed, fixed=fixed)


def _episodes(text: str | None) -> tuple[int, ...] | None:
    """`0-9,15` -> (0, ..., 9, 15)."""
    if text is None:
        return None
    chosen: list[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            chosen += range(int(first), int(last or first) + 1)
    except ValueError:
        raise EmmaError("bad --episodes", found=text, expected="numbers and ranges such as 0-9,15") from None
    return tuple(chosen)


def _print(report: AugmentReport, out: Path) -> None:
    if report.dropped_cameras:
        print(f"left out: {', '.join(report.dropped_cameras)} (the generator makes {', '.join(report.cameras)})")
    speed = f" in {report.seconds:.0f} s, {report.seconds_per_clip:.1f} s a clip" if report.made else ""
    lost = f", {report.failed} could not be made" if report.failed else ""
    print(
        f"{out}: {report.clips} clips{speed} ({report.kept} kept from before): {report.accepted} accepted, "
        f"{report.rejected} rejected{lost}"
    )
    print(f"report: {report.page}")
