"""`emma calibrate`: a board to print, a camera's lens, where the camera is, and whether that still holds."""

import argparse
from pathlib import Path
from typing import Any

from emma.commands.subverbs import subverbs
from emma.robots import DEFAULT_ROBOT

HELP = """calibrate cameras and where they are, with errors that are estimated and checked

  board      a ChArUco board to print (PDF, PNG) and its description (board.yaml)
  camera     the lens, from pictures of the board; views that were held out decide
  hand-eye   where the camera sits: on the hand, or fixed beside the robot
  check      whether the calibration in force still holds

The result goes into the robot's folder: <camera>.yaml as ROS' camera_info_manager reads it, and extrinsics.yaml. What
was there is kept in history/. A worse result does not take the place of a better one without --replace.

examples:
  emma calibrate board --out board                                   print board/board.pdf, measure a square
  emma calibrate camera wrist --robot my_arm --board board --from bags/lens
  emma calibrate hand-eye wrist --robot my_arm --board board --from bags/turns --mount hand
  emma calibrate check wrist --robot my_arm --board board --from bags/today
"""

CAMERA = """the lens of one camera, from pictures of the board

Show the board all over the picture, tilted to all four sides by 20 to 45 degrees, near and far. At least 12 views; 25
are better. Views that cover too little are refused with what is missing.

examples:
  emma calibrate camera top --robot my_arm --board board --from pictures/
  emma calibrate camera top --robot my_arm --board board                live: views are taken by themselves
  emma calibrate camera fish --robot my_arm --board board --from bags/fish --model equidistant
"""

HAND_EYE = """where one camera sits, from views of the board with the arm in many poses

--mount hand: the camera is on the hand and the board lies still. --mount base: the camera is fixed and the hand holds
the board. At least 10 poses, better 20, with turns of the wrist about two axes. A folder of pictures needs joints.csv:
image,<joint>,<joint>,... with one line a picture; a bag needs the joint states.

examples:
  emma calibrate hand-eye wrist --robot my_arm --board board --from bags/turns --mount hand
  emma calibrate hand-eye top --robot my_arm --board board --from pictures/ --mount base --tool right
"""

CHECK = """whether a calibration still holds: exit code 1 if the camera moved by more than 5 px or 5 mm

From a few views of the board (a bag, or pictures with joints.csv), which may lie elsewhere than when it was made.

With --outline, without a board: a fixed camera looks at the arm while it moves, and the outline of its links is
compared with the pictures. A picture that shows both is written to checks/.

examples:
  emma calibrate check wrist --robot my_arm --board board --from bags/today
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
        verb.add_argument("camera", help="name of the camera in robot.yaml")
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
        if name == "camera":
            verb.add_argument(
                "--model",
                default="plumb_bob",
                choices=("plumb_bob", "rational_polynomial", "equidistant"),
                help="lens: plumb_bob, rational_polynomial for wide ones, equidistant for a fisheye",
            )
            verb.add_argument("--thin", action="store_true", help="take views that cover too little")
        else:
            verb.add_argument("--mount", choices=("hand", "base"), help="where the camera is (default: as calibrated)")
            verb.add_argument("--tool", metavar="NAME", help="tool that carries the camera or the board")
        if name == "check":
            verb.add_argument("--outline", action="store_true", help="without a board: the outline of the moving arm")
        else:
            verb.add_argument("--replace", action="store_true", help="put the result in the place of a better one")


def run(args: argparse.Namespace) -> int:
    if args.what == "board":
        return _board(args)
    job = _job(args)
    if args.what == "camera":
        return _camera(args, job)
    return _hand_eye(args, job) if args.what == "hand-eye" else _check(args, job)


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


def _job(args: argparse.Namespace) -> Any:
    from emma.calibrate.board import Board, load_board
    from emma.calibrate.job import Job
    from emma.robots.spec import load_robot

    spec = load_robot(args.robot)
    spec.camera(args.camera)
    return Job(
        spec=spec,
        camera=args.camera,
        board=Board() if getattr(args, "outline", False) else load_board(args.board),
        out=spec.folder if args.out is None else args.out,
        source=args.source,
        thin=getattr(args, "thin", False),
        replace=getattr(args, "replace", False),
    )


def _camera(args: argparse.Namespace, job: Any) -> int:
    from emma.calibrate.camera_info import check_same, of_message
    from emma.calibrate.job import camera_from, camera_lines
    from emma.errors import EmmaError

    found = _found(args, job, None)
    print(f"board in {len(found.views)} of {found.looked} pictures; calibrating")
    result, path = camera_from(job, found, args.model)
    print("\n".join(camera_lines(result)))
    print(f"wrote {path}")
    if found.info is not None:
        try:
            check_same(result.lens, of_message(found.info), str(path))
        except EmmaError as error:
            print(f"note: {error}")
    return 0


def _found(args: argparse.Namespace, job: Any, chain: Any, mount: Any = None) -> Any:
    """Views of a bag or pictures; without either, those that a person shows now."""
    if job.source is not None:
        from emma.calibrate.job import gather

        print(f"looking for {job.board} in {job.source}")
        return gather(job, () if chain is None else chain.names)
    from emma.calibrate.record import now
    from emma.sessions.calibrate import collect

    keep = args.keep or Path("runs/calibrate") / f"{job.camera}-{args.what}-{now().replace(':', '')}"
    most = 6 if args.what == "check" else 60
    found = collect(job, chain, keep, say=lambda text: print(text, flush=True), most=most, mount=mount)
    print(f"views are kept in {keep}; --from {keep} repeats the calibration")
    return found


def _hand_eye(args: argparse.Namespace, job: Any) -> int:
    from emma.calibrate.job import chain_for, hand_eye_from, hand_eye_lines
    from emma.errors import EmmaError

    mount = args.mount or _known_mount(job)
    if mount is None:
        raise EmmaError(
            f"it is not known where camera {job.camera} is mounted",
            found=f"no entry in {job.out / 'extrinsics.yaml'}",
            expected="--mount hand, or --mount base",
            fix="say whether the camera is on the hand or fixed beside the robot",
        )
    chain = chain_for(job, mount, args.tool)
    found = _found(args, job, chain, mount)
    print(f"board in {len(found.views)} views of {found.looked} pictures; calibrating")
    if found.dropped:
        print(f"note: {found.dropped} pictures without a joint state at their time were left out")
    result, path = hand_eye_from(job, found, mount, chain)
    print("\n".join(hand_eye_lines(result)))
    print(f"wrote {path}")
    return 0


def _check(args: argparse.Namespace, job: Any) -> int:
    from emma.calibrate.check import check_views
    from emma.calibrate.check_result import save_check
    from emma.calibrate.job import chain_for, lens_for
    from emma.errors import EmmaError

    if args.outline:
        if job.source is None:
            raise EmmaError("--outline needs a recording", found="no --from", expected="--from BAG of the moving arm")
        return _outline(job)
    chain = chain_for(job, args.mount or _known_mount(job) or "hand", args.tool)
    found = _found(args, job, chain)
    lens, _ = lens_for(job, found)
    result = check_views(job.out, job.camera, chain, found.views, lens)
    save_check(job.out, result)
    print("\n".join(result.lines()))
    return 1 if result.moved else 0


def _outline(job: Any) -> int:
    from emma.calibrate.outline_check import check_outline

    result = check_outline(job.spec, job.camera, job.out, job.source)
    print("\n".join(result.lines()))
    print(f"picture: {job.out / result.picture}")
    return 1 if result.moved else 0


def _known_mount(job: Any) -> Any:
    from emma.calibrate.files import mount_of

    known = mount_of(job.out, job.camera)
    return None if known is None else "base" if known[0] == "base" else "hand"
