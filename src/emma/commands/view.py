"""`emma view`: a running robot, a bag or a dataset in Rerun or Foxglove."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from emma.robots import DEFAULT_ROBOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from emma.view.sink import Sink

HELP = """show a running robot, a bag or a dataset in Rerun or Foxglove

Without PATH it follows the ROS graph that runs in this domain: cameras, joints, commands and the policy's predicted
chunk. It only listens. The libraries are optional: pip install rerun-sdk, or pip install foxglove-sdk.

Rerun opens its viewer, or writes a file with --save. Foxglove: open the printed address in its app, as a WebSocket
connection; recordings are played in real time, again and again, until Ctrl+C.

examples:
  emma view rerun                                  the running robot
  emma view rerun data/real --episode 3            one episode of a dataset
  emma view rerun bags/20260101_120000_ab12 --save episode.rrd
  emma view foxglove                               serve the running robot at ws://127.0.0.1:8765
"""
VIEWERS = ("rerun", "foxglove")


# A signal is how a person ends it: exit code 0.
SERVES = True


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("viewer", choices=VIEWERS, help="which viewer")
    parser.add_argument("path", type=Path, nargs="?", metavar="PATH", help="a bag or a dataset (default: the robot)")
    parser.add_argument("--episode", type=int, default=0, metavar="N", help="episode of a dataset (default 0)")
    parser.add_argument("--robot", default=DEFAULT_ROBOT, help="robot whose graph it follows (default %(default)s)")
    parser.add_argument("--save", type=Path, metavar="FILE", help="rerun: write a .rrd file instead of the viewer")
    parser.add_argument("--port", type=int, metavar="N", help="foxglove: port to listen on (default 8765)")


def run(args: argparse.Namespace) -> int:
    from emma.errors import EmmaError

    if args.save is not None and args.viewer != "rerun":
        raise EmmaError("only Rerun writes a file", found="--save with foxglove", fix="emma view rerun --save FILE")
    if args.port is not None and args.viewer != "foxglove":
        raise EmmaError("only Foxglove has a port", found="--port with rerun", fix="leave out --port")
    try:
        return _follow(args) if args.path is None else _play(args)
    except KeyboardInterrupt:
        return 0


def _sink(args: argparse.Namespace, names: "Sequence[str]") -> "Sink":
    if args.viewer == "rerun":
        from emma.view.rerun_sink import RerunSink

        return RerunSink(names, args.save)
    from emma.view.foxglove_sink import PORT, FoxgloveSink

    sink = FoxgloveSink(names, args.port or PORT)
    print(f"open {sink.url} in Foxglove  (Ctrl+C ends)", flush=True)
    return sink


def _play(args: argparse.Namespace) -> int:
    from contextlib import ExitStack, closing

    from emma.view.play import open_recording, play

    with closing(open_recording(args.path, args.episode)) as clip, ExitStack() as stack:
        sink = stack.enter_context(closing(_sink(args, clip.about()["curves"]["names"])))
        if args.viewer == "rerun":
            # Its viewer has a time line of its own, so everything is sent at once.
            frames = play(clip, sink)
            print(f"{frames} frames" + (f" written to {args.save}" if args.save else ""))
            return 0
        while True:
            play(clip, sink, pace=_real_time())


def _real_time() -> "Callable[[float], None]":
    """Waits until so many seconds have passed since this call."""
    import time

    began = time.monotonic()
    return lambda seconds: time.sleep(max(0.0, began + seconds - time.monotonic()))


def _follow(args: argparse.Namespace) -> int:
    import threading
    from contextlib import closing

    from emma.robots.spec import load_robot
    from emma.ros.client import RosClient
    from emma.ros.nodes.web_console_live import GraphLive
    from emma.view.play import follow

    spec = load_robot(args.robot)
    with RosClient("view") as client, closing(_sink(args, spec.joint_names)) as sink:
        follow(GraphLive(client, spec), sink, threading.Event().wait)
    return 0
