"""A whole graph for a person at the keys: sim, recorder, teleop and, if wanted, a policy to take over from."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from emma.errors import EmmaError
from emma.policy.bundle import load_bundle
from emma.robots import DEFAULT_ROBOT
from emma.robots.spec import load_robot
from emma.ros.client import RosClient
from emma.ros.domain import own_domain
from emma.sessions.graph import Graph, NodeProcess
from emma.sessions.key_console import KeyConsole, KeysConfig
from emma.sessions.session import START_S, Trial
from emma.teleop.leader import load_leader_map
from emma.teleop.sources import KeySource

PERSONS = ("keyboard", "gamepad", "leader")


@dataclass(frozen=True, kw_only=True)
class InteractiveConfig:
    """bags: folder of the episodes; logs: folder of the nodes' output. operator: what the person moves the arm with.
    python: as in `DriveConfig`. policy: a bundle that moves it until the person takes over. episodes: end after so
    many, None to go on."""

    bags: Path
    logs: Path
    operator: str
    trials: tuple[Trial, ...]
    robot: str = DEFAULT_ROBOT
    python: str = ""
    policy: Path | None = None
    leader_topic: str = "/leader/joint_states"
    leader_map: Path | None = None
    episodes: int | None = None
    domain_id: int | None = None

    def __post_init__(self) -> None:
        if self.operator not in PERSONS:
            raise EmmaError("unknown operator", found=self.operator, expected=f"one of {', '.join(PERSONS)}")


def nodes(config: InteractiveConfig) -> list[NodeProcess]:
    """The processes of the graph and their parameters."""
    teleop: dict[str, Any] = {"robot": config.robot, "device": "jog", "take": config.policy is None}
    if config.operator == "leader":
        teleop |= {"device": "leader", "leader_topic": config.leader_topic}
        teleop |= {"leader_map": str(config.leader_map)} if config.leader_map else {}
    recorder: dict[str, Any] = {"robot": config.robot, "root": str(config.bags), "operator": config.operator}
    if config.policy is not None:
        recorder |= {"kind": "policy", "policy": str(config.policy)}
    graph = [
        NodeProcess(module="sim", parameters={"robot": config.robot, "python": config.python}),
        NodeProcess(module="recorder", parameters=recorder),
        NodeProcess(module="teleop", parameters=teleop),
    ]
    if config.policy is not None:
        policy = {"robot": config.robot, "policy": str(config.policy)}
        graph.append(NodeProcess(module="policy", parameters=policy))
    return graph


def work(config: InteractiveConfig, open_keys: Callable[[], KeySource]) -> list[Path]:
    """Start the graph and do what the keys say; returns the saved episodes. EmmaError if a node fails."""
    spec = load_robot(config.robot)
    if config.policy is not None:
        load_bundle(config.policy).check(spec)
    if config.leader_map is not None:
        load_leader_map(config.leader_map, spec)
    console = Console(stderr=True)
    keys = KeysConfig(policy=config.policy is not None, trials=config.trials, episodes=config.episodes)
    with ExitStack() as stack:
        # Before the graph: a missing gamepad should be reported before a policy loads.
        source = stack.enter_context(open_keys())
        domain = stack.enter_context(own_domain(config.domain_id))
        graph = stack.enter_context(Graph(nodes(config), config.logs))
        client = stack.enter_context(RosClient("keys", alive=graph.check))
        console.print(f"ROS_DOMAIN_ID={domain}; the nodes are starting")
        person = KeyConsole(client, keys)
        person.wait_until_ready(START_S)
        try:
            if console.is_terminal:
                stack.enter_context(Live(person, console=console, refresh_per_second=8))
            person.run(source, graph.check)
        except KeyboardInterrupt:
            console.print("ended by Ctrl+C; an episode under way is saved")
    return [Path(folder) for folder in person.saved]
