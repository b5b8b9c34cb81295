"""`emma human`: recordings of hands as demonstrations."""

import argparse
from pathlib import Path
from typing import Any

HELP = """recordings of human hands: look at them, check them, import them as a dataset

Formats: EgoDex (NAME.hdf5 + NAME.mp4), Aria MPS folders, tables (NAME.csv or .parquet with a column map NAME.yaml), and
ROS bags with PoseArrays of landmarks (hands.yaml beside the bag's files).

examples:
  emma human inspect recordings                      what is there, and what is wrong with it
  emma human check recordings/0.hdf5 --out check.png       keypoints drawn on frames
  emma human import recordings --out human --hands right --slow-down 2.25 --workers 2
  emma train --data real:robot --data human:human ...      see docs/how-to/human-video.md
"""


def configure(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    inspect = verbs.add_parser("inspect", help="list recordings with length, hands, coverage and problems")
    check = verbs.add_parser("check", help="draw keypoints and hand frames on frames of one recording")
    bring = verbs.add_parser("import", help="write recordings as a LeRobotDataset v3; run again, it goes on")
    for verb in (inspect, check, bring):
        verb.add_argument("source", type=Path, help="a recording, or a folder with some")
        verb.add_argument("--lag", type=float, default=0.0, metavar="S", help="how much later the hands are stamped")
    check.add_argument("--out", type=Path, default=Path("check.png"), metavar="FILE", help="the picture (check.png)")
    check.add_argument("--frames", type=int, default=6, metavar="N", help="frames on the sheet (default 6)")
    bring.add_argument("--out", type=Path, required=True, help="dataset folder, made or continued")
    for verb in (inspect, bring):
        verb.add_argument("--hands", choices=("left", "right", "both"), default="right", help="default right")
        verb.add_argument("--min-confidence", type=float, default=0.5, help="least confidence of a sample (0.5)")
        verb.add_argument("--max-gap", type=float, default=0.2, metavar="S", help="longest bridged gap (0.2 s)")
    bring.add_argument("--camera", default="front", metavar="NAME", help="the camera's name in the dataset (front)")
    bring.add_argument("--size", default="320x180", metavar="WxH", help="size of the images (320x180)")
    bring.add_argument("--fps", type=int, default=10, help="frames a second of the dataset (10)")
    bring.add_argument(
        "--slow-down", type=float, default=1.0, metavar="FACTOR", help="stretch time: people are faster (1 = as is)"
    )
    bring.add_argument("--min-coverage", type=float, default=0.5, metavar="SHARE", help="least valid share (0.5)")
    bring.add_argument("--instruction", default="", help="words for all of them, instead of their own")
    bring.add_argument("--workers", type=int, default=1, help="processes (default 1)")
    bring.add_argument(
        "--tool-from-hand", type=Path, metavar="FILE", help="YAML with a 4x4 matrix: the robot's tool on the hand"
    )


def run(args: argparse.Namespace) -> int:
    verbs = {"inspect": _inspect, "check": _check, "import": _import}
    return verbs[args.what](args)


def _inspect(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from emma.errors import EmmaError
    from emma.human.formats import find_recordings, read_recording
    from emma.human.tracks import hand_track

    bad = 0
    for kind, place in find_recordings(args.source):
        try:
            recording = read_recording(kind, place)
            recording = replace(recording, times_s=recording.times_s - args.lag)
            print(f"{place}: {kind}, {recording.times_s[-1] - recording.times_s[0]:.1f} s, '{recording.instruction}'")
            for side in _hands(args):
                track = hand_track(recording, side, _cleaning(args))
                lost = ", ".join(f"{reason} {count}" for reason, count in track.lost.items() if count) or "none"
                share = len(track.times_s) / len(recording.times_s)
                print(f"  {side}: valid {share:.0%}, in view {recording.in_view(side):.0%}, samples lost: {lost}")
        except EmmaError as error:
            bad += 1
            print(f"{place}: {error}")
    return 1 if bad else 0


def _check(args: argparse.Namespace) -> int:
    from emma.human.check import draw_check
    from emma.human.formats import find_recordings, read_recording

    kind, place = find_recordings(args.source)[0]
    draw_check(read_recording(kind, place), args.out, args.frames, args.lag)
    print(f"{args.out}: {place}; the drawn hands must lie on the hands in the video, blue arrows along the fingers")
    return 0


def _import(args: argparse.Namespace) -> int:
    from emma.errors import EmmaError
    from emma.human.importing import ImportConfig, ImportResult, import_recordings
    from emma.progress import progress_bar

    width, _, height = args.size.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise EmmaError("bad value for --size", found=args.size, expected="WIDTHxHEIGHT, such as 320x180")
    config = ImportConfig(
        hands=_hands(args),
        camera=args.camera,
        size=(int(width), int(height)),
        fps=args.fps,
        slow_down=args.slow_down,
        lag_s=args.lag,
        min_coverage=args.min_coverage,
        instruction=args.instruction,
        workers=args.workers,
        cleaning=_cleaning(args),
        tool_from_hand=_matrix(args.tool_from_hand) if args.tool_from_hand else None,
    )
    with progress_bar() as bar:
        task = bar.add_task("import", total=None, note="")

        def advance(result: ImportResult, total: int) -> None:
            bar.update(task, total=total, advance=1, note=result.recording)
            if result.outcome == "refused":
                bar.console.print(f"refused {result.recording}: {result.reason}", markup=False)

        results = import_recordings(args.source, args.out, config, advance)
    counts = {what: sum(r.outcome == what for r in results) for what in ("imported", "present", "refused")}
    frames = sum(result.frames for result in results)
    print(f"{args.out}: {', '.join(f'{count} {what}' for what, count in counts.items())}; {frames} new frames")
    for result in results:
        if result.outcome == "refused":
            print(f"  refused {result.recording}: {result.reason}")
    return 1 if counts["refused"] else 0


def _hands(args: argparse.Namespace) -> tuple[str, ...]:
    return ("left", "right") if args.hands == "both" else (args.hands,)


def _cleaning(args: argparse.Namespace) -> Any:
    from emma.human.tracks import Cleaning

    return Cleaning(min_confidence=args.min_confidence, max_gap_s=args.max_gap)


def _matrix(path: Path) -> Any:
    import numpy as np
    import yaml

    from emma.errors import EmmaError

    try:
        matrix = np.array(yaml.safe_load(path.read_text()), np.float64)
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise EmmaError(f"cannot read {path}", found=str(error), expected="a 4x4 matrix as lists") from None
    rigid = matrix.shape == (4, 4) and np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-6)
    if not rigid or np.linalg.det(matrix[:3, :3]) < 0 or not np.allclose(matrix[3], [0, 0, 0, 1]):
        raise EmmaError(f"{path} is no rigid transform", found=matrix.tolist(), expected="rotation and translation")
    return matrix
