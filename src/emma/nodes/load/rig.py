"""The load and something that takes it, in a domain of their own, driven from a program."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emma.bench.load import Load, write_robot
from emma.errors import EmmaError
from emma.nodes.client import RosClient
from emma.nodes.domain import own_domain
from emma.nodes.graph import Graph, NodeProcess
from emma.robot import RobotSpec

# What discovery of six large topics may take on a busy machine.
READY_S = 40.0
# After the last message is sent: until it is counted.
SETTLE_S = 0.7


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One run of the load: messages by topic, and MB/s as really sent. late_s: the publisher's own worst delay."""

    sent: dict[str, int]
    mb_per_s: float
    late_s: float

    @property
    def total(self) -> int:
        return sum(self.sent.values())


class Rig:
    """The publisher of the load, and a client to drive it and whatever listens. A context manager."""

    def __init__(self, folder: Path, load: Load | None = None) -> None:
        self.folder = folder
        self.spec: RobotSpec = write_robot(folder / "robot", load or Load())
        self._stack = ExitStack()
        self._graphs: list[Graph] = []

    def __enter__(self) -> "Rig":
        with ExitStack() as stack:
            stack.enter_context(own_domain())
            self._started(stack, NodeProcess(module="load.publisher", name="load", parameters=self._robot))
            self.client = stack.enter_context(RosClient("rig", alive=self._check))
            self.client.listen("/load/state")
            self.client.wait_for_service("/load/start", READY_S)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def _robot(self) -> dict[str, Any]:
        return {"robot": str(self.spec.folder / "robot.yaml")}

    def _started(self, stack: ExitStack, node: NodeProcess) -> Graph:
        graph = stack.enter_context(Graph([node], self.folder / "logs"))
        self._graphs.append(graph)
        stack.callback(self._graphs.remove, graph)
        return graph

    def _check(self) -> None:
        for graph in self._graphs:
            graph.check()

    @contextmanager
    def counter(self) -> Iterator[None]:
        """A bare counting subscriber."""
        with ExitStack() as stack:
            self._started(stack, NodeProcess(module="load.counter", name="counter", parameters=self._robot))
            self.client.listen("/counter/state")
            self._matched(True)
            yield
        self._matched(False)

    @contextmanager
    def recorder(self, root: Path, **parameters: Any) -> Iterator[Graph]:
        """The recorder node below `root`, connected to every topic."""
        with ExitStack() as stack:
            values = {**self._robot, "root": str(root), **parameters}
            graph = self._started(stack, NodeProcess(module="recorder", parameters=values))
            self.client.listen("/recorder/state")
            self.client.wait_for_service("/recorder/start", READY_S)
            self._matched(True)
            yield graph
        self._matched(False)

    def start(self, factor: float, seconds: float) -> int:
        """Begin to send; returns what `wait` needs."""
        self.client.set_parameters("/load", {"factor": float(factor), "seconds": float(seconds)})
        runs: int = self.client.heard("/load/state")["runs"]
        self.client.trigger("/load/start")
        return runs

    def stop(self) -> None:
        """End the sending early."""
        self.client.trigger("/load/stop", timeout_s=READY_S)

    def wait(self, runs: int, seconds: float) -> Sent:
        """Wait until the run begun by `start` has ended and its messages have arrived."""
        said = self.client.wait_for("/load/state", lambda s: s["runs"] > runs and not s["running"], seconds)
        if said is None:
            raise EmmaError("the load does not end", found=f"still sending after {seconds:.0f} s")
        time.sleep(SETTLE_S)
        return Sent(sent=dict(said["sent"]), mb_per_s=said["mb_per_s"], late_s=said["late_s"])

    def play(self, factor: float, seconds: float) -> Sent:
        """Send the load `factor` times as fast for `seconds`."""
        return self.wait(self.start(factor, seconds), 3 * seconds + READY_S)

    def _matched(self, wanted: bool) -> None:
        if self.client.wait_for("/load/state", lambda s: (s["matched"] > 0) is wanted, READY_S) is None:
            raise EmmaError("the load and its listener do not find each other", found=f"nothing after {READY_S:g} s")
