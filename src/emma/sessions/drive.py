"""A whole graph for N episodes: own domain, own processes, sim + operator + recorder, driven and watched from here."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from emma.errors import EmmaError
from emma.policy.bundle import load_bundle
from emma.robots import DEFAULT_ROBOT
from emma.robots.spec import RobotSpec, load_robot
from emma.ros.client import RosClient
from emma.ros.domain import own_domain
from emma.ros.swap_client import swap_policy
from emma.sessions.graph import Graph, NodeProcess
from emma.sessions.session import OPERATORS, POLICY, SCRIPTED, Session, SessionResult, Trial
from emma.sessions.status_table import SessionView, line

# A scripted demonstration that fails is discarded and the next seed tried; so many in a row are no accident.
MAX_FAILED = 10


@dataclass(frozen=True, kw_only=True)
class DriveConfig:
    """out gets logs/, and bags/ unless `bags` names another folder. policy: bundle, for operator `policy`.
    cameras: those drawn and recorded, () for all.

    console: port of the web console beside it, None for none. replan_s: age of a chunk at which the next is asked for,
    0: as the bundle says.

    lockstep: simulated time, repeatable to the bit. noise: of the scripted operator, rad. python: for a robot in an
    environment of others, an interpreter with its package; "" for the one that `emma envs install` made.
    """

    out: Path
    bags: Path | None = None
    robot: str = DEFAULT_ROBOT
    operator: str = POLICY
    policy: Path | None = None
    runtime: str = "auto"
    device: str = "auto"
    join: str = "auto"
    replan_s: float = 0.0
    cameras: tuple[str, ...] = ()
    depth: bool = True
    record: bool = True
    lockstep: bool = False
    noise: float = 0.0
    python: str = ""
    timeout_s: float = 13.0
    domain_id: int | None = None
    console: int | None = None

    @property
    def bag_folder(self) -> Path:
        """Where the episodes go."""
        return self.bags or self.out / "bags"

    @property
    def logs(self) -> Path:
        """Where the nodes' output goes."""
        return self.out / "logs"

    def __post_init__(self) -> None:
        if self.operator not in OPERATORS:
            raise EmmaError("unknown operator", found=self.operator, expected=f"one of {', '.join(OPERATORS)}")
        if (self.policy is None) is (self.operator == POLICY):
            raise EmmaError("operator and policy do not fit", found=f"{self.operator}, {self.policy}")


def nodes(config: DriveConfig, spec: RobotSpec) -> list[NodeProcess]:
    """The processes of the graph and their parameters."""
    skip = [
        t for c in spec.cameras for t in _unwanted(config, c.name, (c.image_topic, c.info_topic), c.depth_topic) if t
    ]
    both = {"robot": config.robot, "python": config.python, "lockstep": config.lockstep}
    graph = [NodeProcess(module="sim", parameters={**both, "cameras": list(config.cameras), "depth": config.depth})]
    if config.record:
        recorder: dict[str, Any] = {"robot": config.robot, "root": str(config.bag_folder), "skip": skip}
        recorder |= {"operator": config.operator, "check_rates": not config.lockstep}
        recorder |= {"kind": "policy", "policy": str(config.policy)} if config.policy else {"kind": "teleop"}
        graph.append(NodeProcess(module="recorder", parameters=recorder))
    if config.operator == SCRIPTED:
        graph.append(NodeProcess(module="scripted_operator", parameters={**both, "noise": config.noise}))
    else:
        policy = {
            "robot": config.robot,
            "policy": str(config.policy),
            "runtime": config.runtime,
            "device": config.device,
            "join": config.join,
            "replan_s": config.replan_s,
            "lockstep": config.lockstep,
        }
        graph.append(NodeProcess(module="policy", parameters=policy))
    return graph


@dataclass(frozen=True, kw_only=True)
class Part:
    """A stretch of a run. policy: the bundle that the running node changes to before it; None: what runs goes on."""

    trials: list[Trial]
    policy: Path | None = None


def drive(config: DriveConfig, trials: list[Trial], *, wanted: int | None = None) -> SessionResult:
    """Run the trials, or with `wanted` so many successes from the trials' seeds on, and show how it goes.

    Ctrl+C ends the run in order; the episodes done so far are the result. EmmaError if a node fails.
    """
    return drive_parts(config, [Part(trials=trials)], wanted=wanted)[0]


def drive_parts(config: DriveConfig, parts: Sequence[Part], *, wanted: int | None = None) -> list[SessionResult]:
    """One graph for all parts, one result for each. Ctrl+C as in `drive`: parts without an episode have no result."""
    spec = load_robot(config.robot)
    for bundle in (config.policy, *(part.policy for part in parts)):
        if bundle is not None:
            load_bundle(bundle).check(spec)
    results: list[SessionResult] = []
    with running(config, spec) as (client, graph):
        for part in parts:
            session = Session(
                client,
                operator=config.operator,
                record=config.record,
                keep_failed=config.operator == POLICY,
                timeout_s=config.timeout_s,
            )
            stopped = False
            with shown(client, session, wanted or len(part.trials)) as report:
                try:
                    session.wait_until_ready()
                    if part.policy is not None:
                        _change(config, part.policy, client)
                    _run(session, part.trials, wanted, report)
                except KeyboardInterrupt:
                    stopped = True
                    if not session.rows and not results:
                        raise
            graph.check()
            if session.rows or not stopped:
                results.append(session.result())
            if stopped:
                break
        return results


def _change(config: DriveConfig, policy: Path, client: RosClient) -> None:
    """Another policy in the running node, and its name in the episodes that follow."""
    if config.record:
        client.set_parameters("/recorder", {"policy": str(policy)})
    swap_policy(policy, client=client)


@contextmanager
def running(config: DriveConfig, spec: RobotSpec) -> Iterator[tuple[RosClient, Graph]]:
    """The graph and a client in it; both end with the block."""
    with ExitStack() as stack:
        stack.enter_context(own_domain(config.domain_id))
        graph = stack.enter_context(Graph(nodes(config, spec), config.logs))
        if config.console is not None:
            page = {"robot": config.robot, "port": config.console, "folders": [str(config.bag_folder)]}
            # A graph of its own that is not checked: the run goes on without its page.
            stack.enter_context(Graph([NodeProcess(module="web_console", parameters=page)], config.logs))
        client = stack.enter_context(RosClient("console", alive=graph.check))
        yield client, graph


@contextmanager
def shown(client: RosClient, session: Session, total: int, *, table: bool = True) -> Iterator[Callable[[], None]]:
    """A live table on a terminal, a line per episode elsewhere. Yields what to call after each episode.

    table: False where a person types in this terminal.
    """
    console = Console(stderr=True)
    if not (table and console.is_terminal):
        yield lambda: print(line(session.rows[-1], len(session.rows), total), file=sys.stderr, flush=True)
        return
    with Live(SessionView(client, session, total), console=console, refresh_per_second=4, transient=True):
        yield lambda: None


def _run(session: Session, trials: list[Trial], wanted: int | None, report: Callable[[], None]) -> None:
    failed = 0
    for trial in trials:
        row = session.run(trial)
        report()
        if wanted is None:
            continue
        failed = 0 if row.success else failed + 1
        if failed == MAX_FAILED:
            raise EmmaError("the demonstrations keep failing", found=f"{failed} in a row", fix="lower the noise")
        if sum(r.success for r in session.rows) == wanted:
            return


def _unwanted(
    config: DriveConfig, name: str, topics: tuple[str | None, ...], depth: str | None
) -> tuple[str | None, ...]:
    if config.cameras and name not in config.cameras:
        return (*topics, depth)
    return () if config.depth else (depth,)


def run_folder(kind: str) -> Path:
    """A new folder name under ./runs for a run that starts now."""
    return Path("runs") / f"{kind}-{time.strftime('%Y%m%d-%H%M%S')}"
