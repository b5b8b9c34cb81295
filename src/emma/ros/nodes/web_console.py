"""The web_console node: the page of `emma.console` over a running graph. If it is killed, the robot does not notice."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from emma import interrupts, signs
from emma.console.app import Console
from emma.console.config import PORT, ConsoleConfig, is_loopback, new_token
from emma.console.server import serving
from emma.errors import EmmaError
from emma.policy.bundle import MANIFEST, load_bundle
from emma.resources import data_dir
from emma.robots.spec import load_robot
from emma.ros.client import RosClient
from emma.ros.nodes.web_console_live import GraphLive
from emma.ros.parameters import declare, parameter, robot_parameter
from emma.ros.runner import CLOSE_S, Stop


@dataclass(frozen=True, kw_only=True)
class WebConsoleParameters:
    """Parameters of the web_console node."""

    robot: str = robot_parameter()
    host: str = parameter("127.0.0.1", "address to listen on; any but loopback needs the token that is printed")
    port: int = parameter(PORT, "port to listen on", minimum=1, maximum=65535)
    names: tuple[str, ...] = parameter((), "further host names that browsers use for this machine")
    folders: tuple[str, ...] = parameter((), "folders of bags, datasets and policies to show")


def bundles_below(folders: Sequence[Path]) -> list[Path]:
    """The policy bundles at or directly below some folders, in order of their paths; broken ones are left out."""
    found = {file.parent.resolve() for folder in folders for file in folder.glob(f"*/{MANIFEST}")}
    return [path for path in sorted(found) if _is_bundle(path)]


def _is_bundle(path: Path) -> bool:
    try:
        load_bundle(path)
    except EmmaError:
        return False
    return True


@contextmanager
def console_over(client: RosClient, config: ConsoleConfig, robot: str, bundles: Sequence[Path] = ()) -> Iterator[None]:
    """Serve the console over the graph of `client` while the block runs."""
    live = GraphLive(client, load_robot(robot), bundles)
    with serving(Console(config, live).asgi, config):
        yield


def main() -> int:
    """Serve until asked to stop. 0 when done, 2 for bad input."""
    interrupts.begin("web_console")
    stop = Stop()
    try:
        with (
            interrupts.answering(lambda _number: stop.request(), CLOSE_S),
            RosClient("web_console", args=sys.argv) as client,
        ):
            values = declare(client.node, WebConsoleParameters)
            config = ConsoleConfig(
                host=values.host,
                port=values.port,
                names=values.names,
                folders=tuple(Path(folder) for folder in values.folders),
                token="" if is_loopback(values.host) else new_token(),
            )
            bundles = bundles_below([data_dir("models"), *config.folders])
            with console_over(client, config, values.robot, bundles):
                print(config.url, flush=True)
                with signs.quiet():
                    stop.wait()
    except EmmaError as error:
        print(f"emma: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
