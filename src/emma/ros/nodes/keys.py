"""The keys node: a person's keyboard or gamepad on a graph that runs already, as under `ros2 launch`.

Start it in a terminal of its own: `emma node keys`.
"""

import sys
from contextlib import ExitStack
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live

from emma import interrupts, signs
from emma.errors import EmmaError
from emma.ros.client import RosClient
from emma.ros.parameters import declare, parameter
from emma.sessions.key_console import KeyConsole, KeysConfig
from emma.teleop.gamepad import Gamepad
from emma.teleop.sources import Keyboard, KeySource

SOURCES = ("keyboard", "gamepad")


@dataclass(frozen=True, kw_only=True)
class KeysParameters:
    """Parameters of the keys node."""

    source: str = parameter("keyboard", "where keys come from", choices=SOURCES)
    teleop: bool = parameter(False, "the graph has a teleop node: jog, take the robot over, give it back")
    policy: bool = parameter(False, "the graph has a policy node: switch it on and off")
    instruction: str = parameter("", "what the robot shall do; empty: it comes on /instruction")
    wait_s: float = parameter(60.0, "how long to wait for the other nodes", minimum=0.1)


def main() -> int:
    """Do what the keys say. 0 when done, 2 when there are no keys or a node is missing."""
    interrupts.begin("keys")
    try:
        with interrupts.raising(), RosClient("keys", args=sys.argv) as client:
            return _work(client)
    except EmmaError as error:
        print(f"emma: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0


def _work(client: RosClient) -> int:
    values = declare(client.node, KeysParameters)
    config = KeysConfig(teleop=values.teleop, policy=values.policy, instruction=values.instruction)
    console = Console(stderr=True)
    source: KeySource = Keyboard() if values.source == "keyboard" else Gamepad()
    with ExitStack() as stack:
        stack.enter_context(source)
        person = KeyConsole(client, config)
        person.wait_until_ready(values.wait_s)
        if console.is_terminal:
            stack.enter_context(Live(person, console=console, refresh_per_second=8))
        with signs.quiet():
            person.run(source)
    return 0


if __name__ == "__main__":
    sys.exit(main())
