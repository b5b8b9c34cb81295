"""The load and something that takes it, in a domain of their own, driven from a program."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from emma.bench.load import Load, write_robot
from emma.errors import EmmaError
from emma.recording.recorder_state import EpisodeBegun, EpisodeEnded, RecorderState
from emma.records import Topic
from emma.robots.spec import RobotSpec
from emma.ros.client import RosClient
from emma.ros.domain import own_domain
from emma.ros.load.states import COUNTER_STATE, LOAD_STATE
from emma.sessions.graph import Graph, NodeProcess

# What discovery of six large topics may take on a busy machine.
READY_S = 40.0
# After the last message is sent: until it is counted.
SETTLE_S = 0.7
# For a recorder to begin an episode, before its answer counts as lost.
ANSWER_S = 5.0
# Writing what is queued, at the pace of a slow disk.
SAVE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One run of the load: messages by topic, and MB/s as really sent.

    late_s: the publisher's own worst delay; skipped: messages it did not send because it was held up.
    """

    sent: dict[str, int]
    mb_per_s: float
    late_s: float
    skipped: int

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
        self._recorders = 0
        self._killed = False

    def __enter__(self) -> "Rig":
        with ExitStack() as stack:
            stack.enter_context(own_domain())
            self._started(stack, NodeProcess(module="load.publisher", name="load", parameters=self._robot))
            self.client = stack.enter_context(RosClient("rig", alive=self._check))
            self.client.listen(LOAD_STATE)
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
        others = self.listeners()
        with ExitStack() as stack:
            self._started(stack, NodeProcess(module="load.counter", name="counter", parameters=self._robot))
            self.client.listen(COUNTER_STATE)
            self.wait_for_listeners(others + 1)
            yield
        self.wait_for_listeners(others)

    @contextmanager
    def recorder(self, root: Path, **parameters: Any) -> Iterator["RecorderUnderLoad"]:
        """The recorder node below `root`, connected to every topic. It may be killed meanwhile."""
        # A name of its own: what a killed node offered is seen for 20 s after its death.
        self._recorders += 1
        name, others = f"recorder_{self._recorders}", self.listeners()
        with ExitStack() as stack:
            values = {**self._robot, "root": str(root), **parameters}
            graph = self._started(stack, NodeProcess(module="recorder", name=name, parameters=values))
            state = Topic(f"/{name}/state", RecorderState)
            self.client.listen(state)
            self.client.wait_for_service(f"/{name}/start", READY_S)
            self.wait_for_listeners(others + 1)
            recorder = RecorderUnderLoad(self, name, state, graph.pids[name])
            yield recorder
            self._killed = self._killed or recorder.killed
        self.wait_for_listeners(others)

    def start(self, factor: float, seconds: float) -> int:
        """Begin to send; returns what `wait` needs."""
        self.client.set_parameters("/load", {"factor": float(factor), "seconds": float(seconds)})
        state = self.client.heard(LOAD_STATE)
        self.client.trigger("/load/start")
        return state.runs if state else 0

    def stop(self) -> None:
        """End the sending early."""
        self.client.trigger("/load/stop", timeout_s=READY_S)

    def wait(self, runs: int, seconds: float) -> Sent:
        """Wait until the run begun by `start` has ended and its messages have arrived."""
        said = self.client.wait_for(LOAD_STATE, lambda s: s.runs > runs and not s.running, seconds)
        if said is None:
            raise EmmaError("the load does not end", found=f"still sending after {seconds:.0f} s")
        time.sleep(SETTLE_S)
        return Sent(sent=dict(said.sent), mb_per_s=said.mb_per_s, late_s=said.late_s, skipped=said.skipped)

    def play(self, factor: float, seconds: float) -> Sent:
        """Send the load `factor` times as fast for `seconds`."""
        return self.wait(self.start(factor, seconds), 3 * seconds + READY_S)

    def listeners(self) -> int:
        """How many subscribers every topic of the load has at least."""
        state = self.client.heard(LOAD_STATE)
        return state.matched if state else 0

    def wait_for_listeners(self, count: int) -> None:
        """Wait until every topic of the load has `count` subscribers. Not after a kill: the dead count for 20 s."""
        if self._killed:
            return
        if self.client.wait_for(LOAD_STATE, lambda s: s.matched == count, READY_S) is None:
            raise EmmaError(
                "the load and its listeners do not find each other",
                found=f"{self.listeners()} after {READY_S:g} s",
                expected=f"{count}",
            )


class RecorderUnderLoad:
    """A running recorder node. start, save: its services; `kill` ends it as the kernel would when memory runs out."""

    def __init__(self, rig: Rig, name: str, state: Topic[RecorderState], pid: int) -> None:
        self._rig, self._name, self._state, self._process = rig, name, state, psutil.Process(pid)
        self._episode = ""
        self.killed = False

    def start(self, patience_s: float = READY_S) -> Path:
        """Begin an episode, as soon as the recorder has found every topic; returns its folder."""
        deadline = time.monotonic() + patience_s
        while True:
            try:
                folder = self._rig.client.ask(f"/{self._name}/start", EpisodeBegun, ANSWER_S).folder
            except EmmaError:
                # On a busy machine rmw may send the answer before it knows the asker, and then it is lost.
                said = self.state()
                if said.state == "recording" and said.episode != self._episode:
                    folder = said.root / said.episode
                elif time.monotonic() > deadline:
                    raise
                else:
                    time.sleep(0.1)
                    continue
            self._episode = folder.name
            return folder

    def save(self) -> EpisodeEnded:
        """End the episode."""
        return self._rig.client.ask(f"/{self._name}/save", EpisodeEnded, SAVE_S)

    def state(self) -> RecorderState:
        """The newest message on its `~/state`."""
        return self._rig.client.heard(self._state) or RecorderState()

    def wait_for(self, condition: Callable[[RecorderState], object]) -> RecorderState:
        """The first `~/state` for which `condition` holds. EmmaError if that takes too long."""
        said = self._rig.client.wait_for(self._state, condition, READY_S)
        if said is None:
            raise EmmaError("the recorder does not come to that", found=str(self.state()))
        return said

    def wait_for_all_topics(self) -> None:
        """Wait until the episode has a message of every topic."""
        topics = set(self._rig.spec.topics())
        self.wait_for(lambda s: topics <= s.received.keys())

    def cpu_s(self) -> float:
        """Processor seconds it has used so far."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def memory_mb(self) -> float:
        """Memory it holds now, the shared memory of the middleware included."""
        return float(self._process.memory_info().rss) / 1e6

    def kill(self) -> int:
        """SIGKILL. Returns the moment, ns since the epoch."""
        self.killed = True
        moment = time.time_ns()
        self._process.kill()
        self._process.wait(READY_S)
        return moment
