"""`emma console`: the web page to record, supervise and review."""

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from emma.robots import DEFAULT_ROBOT

if TYPE_CHECKING:
    from emma.console.config import ConsoleConfig

HELP = """one web page to record, supervise and review, from the workstation

Without options it joins the ROS graph that runs in this domain, as under `ros2 launch`; --sim starts the simulated arm
with a recorder, and with --policy a policy, beside it; --no-robot needs no ROS and shows FOLDERS only. Killing the
console does not disturb the robot.

It listens on this machine alone. For other machines name the address that they use: the console then prints a link with
a token, and every browser must bring it once.

examples:
  emma console bags data                                     a running robot, and its recordings
  emma console --sim --policy models/desk_arm_source bags    try it on the simulated arm; episodes go to bags
  emma console --no-robot bags data                          look through recordings
  emma console --host 192.168.1.20 bags                      for a tablet in the same network
"""


# A signal is how a person ends it: exit code 0.
SERVES = True


def configure(parser: argparse.ArgumentParser) -> None:
    from emma.console.config import PORT

    parser.add_argument("folders", type=Path, nargs="*", metavar="FOLDER", help="bags, datasets and policies to show")
    parser.add_argument("--robot", default=DEFAULT_ROBOT, help="robot whose graph it joins (default %(default)s)")
    parser.add_argument("--sim", action="store_true", help="start the simulated arm and a recorder, too")
    parser.add_argument("--policy", type=Path, help="with --sim: bundle that moves the arm")
    parser.add_argument("--no-robot", action="store_true", help="recordings only, without ROS")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--name", action="append", default=[], metavar="NAME", help="further host name of this machine")
    parser.add_argument("--port", type=int, default=PORT, help=f"port to listen on (default {PORT})")
    parser.add_argument("--domain-id", type=int, metavar="N", help="with --sim: ROS domain (default: a free one)")


def run(args: argparse.Namespace) -> int:
    from emma.console.config import ConsoleConfig, is_loopback, new_token
    from emma.errors import EmmaError

    if args.policy is not None and not args.sim:
        raise EmmaError("--policy is for the simulated arm", found=args.policy, expected="--sim --policy BUNDLE")
    if args.no_robot and not args.folders:
        raise EmmaError("nothing to show", found="--no-robot without folders", expected="folders of bags or datasets")
    folders = [folder.resolve() for folder in args.folders]
    if args.sim and not folders:
        folders = [Path("bags").resolve()]
    config = ConsoleConfig(
        host=args.host,
        port=args.port,
        names=tuple(args.name),
        folders=tuple(folders),
        token="" if is_loopback(args.host) else new_token(),
    )
    try:
        with ExitStack() as stack:
            if args.no_robot:
                _recordings(stack, config)
            else:
                _robot(stack, config, args)
            _announce(config.url)
            _wait()
    except KeyboardInterrupt:
        pass
    return 0


def _recordings(stack: ExitStack, config: "ConsoleConfig") -> None:
    from emma.console.app import Console
    from emma.console.server import serving

    stack.enter_context(serving(Console(config).asgi, config))


def _robot(stack: ExitStack, config: "ConsoleConfig", args: argparse.Namespace) -> None:
    from emma.resources import data_dir
    from emma.ros.client import RosClient
    from emma.ros.nodes.web_console import bundles_below, console_over
    from emma.sessions.graph import Graph
    from emma.sessions.interactive import InteractiveConfig, nodes

    if args.sim:
        from emma.ros.domain import own_domain

        bags = config.folders[0]
        policy = args.policy.resolve() if args.policy else None
        graph_config = InteractiveConfig(
            bags=bags, logs=bags / "session" / "logs", operator="keyboard", trials=(), robot=args.robot, policy=policy
        )
        domain = stack.enter_context(own_domain(args.domain_id))
        stack.enter_context(Graph(nodes(graph_config), graph_config.logs))
        print(f"ROS_DOMAIN_ID={domain}; the nodes are starting")
    client = stack.enter_context(RosClient("web_console"))
    bundles = bundles_below([data_dir("models"), *config.folders])
    stack.enter_context(console_over(client, config, args.robot, bundles))


def _announce(url: str) -> None:
    print(f"open {url}  (Ctrl+C ends the console)", flush=True)


def _wait() -> None:
    import time

    from emma import signs

    with signs.quiet():
        while True:
            time.sleep(1.0)
