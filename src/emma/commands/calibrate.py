"""`emma calibrate`: a board to print, a camera's lens, where the camera is, and whether that still holds."""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from emma.commands.subverbs import subverbs
from emma.console.config import CALIBRATION_PORT
from emma.robots import DEFAULT_ROBOT

HELP = """calibrate cameras and where they are, with errors that are estimated and checked

  board      a ChArUco board to print (PDF, PNG) and its description (board.yaml)
  camera     the lens, from pictures of the board; views that were held out decide
  hand-eye   where the camera sits: on the hand, or fixed beside the robot
  check      whether the calibration in force still holds, and whether depth lies on colour

The result goes into the robot's folder: <camera>.yaml as ROS' camera_info_manager reads it, and extrinsics.yaml. What
was there is kept in history/. A worse result does not take the place of a better one without --replace.

examples:
  emma calibrate board --out board                                   print board/board.pdf, measure a square
  emma calibrate camera wrist --robot my_arm --board board --from bags/lens
  emma calibrate hand-eye wrist --robot my_arm --board board --from bags/turns --mount hand
  emma calibrate check wrist --robot my_arm --board board --from bags/today
  emma calibrate camera left right --robot my_arm --board board --page     live, two cameras, with a page to look at
"""

CAMERA = """the lens of each camera, from pictures of the board

Show the board all over the picture, tilted to all four sides by 20 to 45 degrees, near and far. At least 12 views; 25
are better. Views that cover too little are refused with what is missing.

examples:
  emma calibrate camera top --robot my_arm --board board --from pictures/
  emma calibrate camera top --robot my_arm --board board                live: views are taken by themselves
  emma calibrate camera fish --robot my_arm --board board --from bags/fish --model equidistant
"""

HAND_EYE = """where each camera sits, from views of the board with the arm in many poses

--mount hand: the camera is on the hand and the board lies still. --mount base: the camera is fixed and the hand holds
the board. At least 10 poses, better 20, with turns of the wrist about two axes. A folder of pictures needs joints.csv:
image,<joint>,<joint>,... with one line a picture; a bag needs the joint states.

Live, a next pose is proposed from the fourth view on. With --drive, Enter lets the arm go there at 15 % of its speed,
through the safety filter of teleoperation; Ctrl+C stops it. Collisions are not checked: look before you agree.

examples:
  emma calibrate hand-eye wrist --robot my_arm --board board --from bags/turns --mount hand
  emma calibrate hand-eye wrist --robot my_arm --board board --mount hand --drive
  emma calibrate hand-eye top --robot my_arm --board board --from pictures/ --mount base --tool right
"""

CHECK = """whether a calibration still holds: exit code 1 if the camera moved by more than 5 px or 5 mm

From a few views of the board (a bag, or pictures with joints.csv), which may lie elsewhere than when it was made.

With --outline, without a board: a fixed camera looks at the arm while it moves, and the outline of its links is
compared with the pictures. A picture that shows both is written to checks/.

With --depth: does depth lie on colour, at the right scale? The board is held still in some ten views, tilted to all
four sides; the arm is not needed. Exit code 1 for a shift of more than 5 px or an error of more than 5 mm.

examples:
  emma calibrate check wrist --robot my_arm --board board --from bags/today
  emma calibrate check top --robot my_arm --board board --depth
  emma calibrate check top --robot my_arm --outline --from bags/today
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add = subverbs(parser)

    board = add("board", "a ChArUco board to print, and its description")
    board.add_argument("--out", type=Path, default=Path("board"), help="folder to write (default board)")
    board.add_argument("--columns", type=int, default=8, help="squares across (default 8)")
    board.add_argument("--rows", type=int, default=6, help="squares down (default 6)")
    board.add_argument("--square-mm", type=float, default=30.0, help="edge of a square (default 30)")
    board.add_argument("--marker-mm", type=float, help="edge of a marker (default three quarters of a square)")
    board.add_argument("--dictionary", default="DICT_5X5_100", help="markers, as OpenCV names them")
    for name, text in (("camera", CAMERA), ("hand-eye", HAND_EYE), ("check", CHECK)):
        verb = add(name, text)
        verb.add_argument("cameras", nargs="+", metavar="CAMERA", help="names of cameras in robot.yaml")
        verb.add_argument(
            "--robot", default=DEFAULT_ROBOT, help="robot.yaml, or the name of a robot (default %(default)s)"
        )
        verb.add_argument("--board", type=Path, default=Path("board"), help="board.yaml or its folder (default board)")
        verb.add_argument(
            "--from",
            dest="source",
            type=Path,
            metavar="PATH",
            help="bag, or folder of pictures (default: live)",
        )
        verb.add_argument("--keep", type=Path, metavar="DIR", help="live: folder for pictures (default runs/calibrate)")
        verb.add_argument("--out", type=Path, help="folder of the calibration (default: the robot's)")
        verb.add_argument(
            "--page",
            type=int,
            nargs="?",
            const=CALIBRATION_PORT,
            metavar="PORT",
            help="live: pictures and coverage in a browser on this machine (default port %(const)s)",
        )
        if name == "camera":
            verb.add_argument(
                "--model",
                default="plumb_bob",
                choices=("plumb_bob", "rational_polynomial", "equidistant"),
                help="lens: plumb_bob, rational_polynomial for wide ones, equidistant for a fisheye",
            )
            verb.add_argument("--thin", action="store_true", help="take views that cover too little")
        else:
            verb.add_argument("--tool", metavar="NAME", help="tool that carries the camera or the board")
        if name == "hand-eye":
            verb.add_argument("--mount", choices=("hand", "base"), help="where the camera is (default: as calibrated)")
            verb.add_argument("--drive", action="store_true", help="live: offer to drive the arm to each proposed pose")
        if name == "check":
            verb.add_argument("--outline", action="store_true", help="without a board: the outline of the moving arm")
            verb.add_argument("--depth", action="store_true", help="whether depth lies on colour, by the board")
        else:
            verb.add_argument("--replace", action="store_true", help="put the result in the place of a better one")


def run(args: argparse.Namespace) -> int:
    if args.what == "board":
        return _board(args)
    jobs = _jobs(args)
    if args.what == "check" and args.outline:
        return max([_outline(job) for job in jobs])
    return _each(args, jobs)


def _board(args: argparse.Namespace) -> int:
    from emma.calibrate.board import Board

    square = args.square_mm / 1000
    board = Board(
        columns=args.columns,
        rows=args.rows,
        square_m=square,
        marker_m=square * 0.75 if args.marker_mm is None else args.marker_mm / 1000,
        dictionary=args.dictionary,
    )
    files = board.write(args.out)
    print(f"{board}\nwrote {', '.join(map(str, files))}")
    print(f"next: print {files[2]} at 100 %, glue it to something flat, measure ten squares,")
    print(f"      and put a tenth of that in metres as square_m in {files[0]}")
    return 0


def _jobs(args: argparse.Namespace) -> list[Any]:
    from emma.calibrate.board import Board, load_board
    from emma.calibrate.job import Job
    from emma.errors import EmmaError
    from emma.robots.spec import load_robot

    spec = load_robot(args.robot)
    if getattr(args, "outline", False) and args.source is None:
        raise EmmaError("--outline needs a recording", found="no --from", expected="--from BAG of the moving arm")
    if args.source is not None and args.source.is_dir() and len(args.cameras) > 1 and not _is_bag(args.source):
        raise EmmaError(
            "a folder of pictures is of one camera",
            found=f"{len(args.cameras)} cameras",
            expected="one camera, or a bag",
            fix="calibrate each camera from its own folder",
        )
    board = Board() if getattr(args, "outline", False) else load_board(args.board)
    return [
        Job(
            spec=spec,
            camera=spec.camera(name).name,
            board=board,
            out=spec.folder if args.out is None else args.out,
            source=args.source,
            mount=getattr(args, "mount", None),
            tool=getattr(args, "tool", None),
            thin=getattr(args, "thin", False),
            replace=getattr(args, "replace", False),
        )
        for name in dict.fromkeys(args.cameras)
    ]


def _is_bag(folder: Path) -> bool:
    return any(folder.glob("*.mcap")) or any(folder.glob("*.db3"))


def _each(args: argparse.Namespace, jobs: list[Any]) -> int:
    """The views of all cameras, then each camera by itself: what is wrong with one does not cost the others."""
    from emma.calibrate.job import chain_for
    from emma.errors import EmmaError

    arm = args.what == "hand-eye" or (args.what == "check" and not args.depth)
    chains = [chain_for(job) if arm else None for job in jobs]
    live = None if args.source is not None else _live(args, jobs, chains)
    code, failed = 0, []
    for number, (job, chain) in enumerate(zip(jobs, chains, strict=True)):
        if len(jobs) > 1:
            print(f"camera {job.camera}:")
        try:
            found = _recorded(args, job, chain) if live is None else live[number]
            code = max(
                code, {"camera": _camera, "hand-eye": _hand_eye, "check": _check}[args.what](args, job, found, chain)
            )
        except EmmaError as error:
            if len(jobs) == 1:
                raise
            print(f"emma: {error}", file=sys.stderr)
            failed.append(job.camera)
    if failed:
        print(f"emma: not done: {', '.join(failed)}", file=sys.stderr)
    return 2 if failed else code


def _recorded(args: argparse.Namespace, job: Any, chain: Any) -> Any:
    from emma.calibrate.job import gather

    print(f"looking for {job.board} in {job.source}")
    check = args.what == "check"
    return gather(
        job, () if chain is None else chain.names, pictures=check and not args.depth, depth=check and args.depth
    )


def _live(args: argparse.Namespace, jobs: list[Any], chains: list[Any]) -> Any:
    """Views that a person shows now, of every camera."""
    from emma.calibrate.record import now
    from emma.sessions.calibrate import Live, collect

    names = "-".join(job.camera for job in jobs)
    keep = args.keep or Path("runs/calibrate") / f"{names}-{args.what}-{now().replace(':', '')}"
    with ExitStack() as stack:
        page = mover = None
        if args.page is not None:
            from emma.console.calibration_page import calibration_page

            page, address = stack.enter_context(calibration_page(args.page))
            print(f"page: {address}", flush=True)
        if getattr(args, "drive", False):
            from emma.sessions.pose_drive import PoseDrive

            mover = stack.enter_context(PoseDrive(args.robot, jobs[0].spec, keep.with_name(f"{keep.name}.logs")))
        depth = args.what == "check" and args.depth
        live = Live(
            keep=keep,
            say=lambda text: print(text, flush=True),
            most=6 if args.what == "check" and not depth else 12 if depth else 60,
            propose=args.what == "hand-eye",
            depth=depth,
            move=mover,
            page=page,
        )
        found = collect(jobs, chains, live)
    for job in jobs:
        print(f"views are kept in {keep / job.camera}; --from {keep / job.camera} repeats this for camera {job.camera}")
    return found


def _camera(args: argparse.Namespace, job: Any, found: Any, _chain: Any) -> int:
    from emma.calibrate.camera_info import check_same, of_message
    from emma.calibrate.job import camera_from, camera_lines
    from emma.errors import EmmaError

    print(f"board in {len(found.views)} of {found.looked} pictures; calibrating", flush=True)
    result, path = camera_from(job, found, args.model)
    print("\n".join(camera_lines(result)))
    print(f"wrote {path}")
    if found.info is not None:
        try:
            check_same(result.lens, of_message(found.info), str(path))
        except EmmaError as error:
            print(f"note: {error}")
    return 0


def _hand_eye(_args: argparse.Namespace, job: Any, found: Any, chain: Any) -> int:
    from emma.calibrate.job import hand_eye_from, hand_eye_lines

    print(f"board in {len(found.views)} views of {found.looked} pictures; calibrating", flush=True)
    if found.dropped:
        print(f"note: {found.dropped} pictures without a joint state at their time were left out")
    result, path = hand_eye_from(job, found, chain)
    print("\n".join(hand_eye_lines(result)))
    print(f"wrote {path}")
    return 0


def _check(args: argparse.Namespace, job: Any, found: Any, chain: Any) -> int:
    from emma.calibrate.check import check_views
    from emma.calibrate.check_result import save_check
    from emma.calibrate.depth import check_depth
    from emma.calibrate.job import lens_for

    lens, _ = lens_for(job, found)
    if args.depth:
        result, line = check_depth(job.camera, found.views, lens)
        print(line)
    else:
        result = check_views(job.out, job.camera, chain, found.views, lens)
    save_check(job.out, result)
    return _report(job, result)


def _outline(job: Any) -> int:
    from emma.calibrate.outline_check import check_outline

    return _report(job, check_outline(job.spec, job.camera, job.out, job.source))


def _report(job: Any, result: Any) -> int:
    print("\n".join(result.lines()))
    if result.picture:
        print(f"picture: {job.out / result.picture}")
    return 1 if result.moved else 0
