"""A ROS graph without `ros2 launch`: nodes as child processes that end when their parent does, whatever ends it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from emma.environment import cleaned
from emma.errors import EmmaError
from emma.interrupts import STOP_WITH_PARENT, patience

# How long a node may take to end after SIGINT (a recorder finishes its bag), SIGTERM and SIGKILL.
INT_S, TERM_S, KILL_S = 15.0, 5.0, 10.0
LOG_TAIL = 12


@dataclass(frozen=True, kw_only=True)
class NodeProcess:
    """What to start: `emma.ros.nodes.<module>`, or `emma.ros.<module>` for a dotted one, as node `name`.

    nice: a lower priority."""

    module: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    nice: int = 0

    @property
    def node(self) -> str:
        return self.name or self.module


class Graph:
    """A context manager: starts the nodes, watches them, ends them in reverse order. Their output goes to `logs`.

    Each child has a session of its own, so that Ctrl+C reaches the parent alone, and its standard input is a pipe from
    the parent: when the parent dies, even by SIGKILL, the pipe closes and the child ends by itself.
    """

    def __init__(self, nodes: Sequence[NodeProcess], logs: Path | str) -> None:
        self._nodes = tuple(nodes)
        self._logs = Path(logs)
        self._children: dict[str, subprocess.Popen] = {}

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        try:
            for node in self._nodes:
                self._children[node.node] = self._start(node)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pids(self) -> dict[str, int]:
        """Process id by node name."""
        return {name: child.pid for name, child in self._children.items()}

    def log(self, name: str) -> Path:
        """Where a node's output goes."""
        return self._logs / f"{name}.log"

    def check(self) -> None:
        """Raise EmmaError, with the last lines of its log, if a node has ended."""
        for name, child in self._children.items():
            if (code := child.poll()) is not None:
                lines = self.log(name).read_text(errors="replace").splitlines()[-LOG_TAIL:]
                raise EmmaError(
                    f"node {name} ended",
                    found="\n            ".join([f"exit code {code}", *lines]),
                    expected="a running node",
                    fix=f"see {self.log(name)}",
                )

    def stop(self) -> dict[str, int]:
        """End every node that still runs, the last started first. Returns the exit code of each."""
        running = {name: child for name, child in reversed(self._children.items())}
        for number, seconds in ((signal.SIGINT, INT_S), (signal.SIGTERM, TERM_S), (signal.SIGKILL, KILL_S)):
            for child in running.values():
                if child.poll() is None:
                    with contextlib.suppress(ProcessLookupError):
                        child.send_signal(number)
            with patience(seconds):
                _wait(running.values(), seconds)
        for child in running.values():
            if child.stdin is not None:
                child.stdin.close()
        return {name: child.returncode for name, child in self._children.items() if child.returncode is not None}

    def _start(self, node: NodeProcess) -> subprocess.Popen:
        file = self._logs / f"{node.node}.params.yaml"
        # JSON is YAML; empty lists have no type in a parameter file and are the default anyway.
        values = {key: value for key, value in node.parameters.items() if value not in ([], ())}
        file.write_text(json.dumps({f"/{node.node}": {"ros__parameters": values}}))
        module = f"emma.ros.{node.module}" if "." in node.module else f"emma.ros.nodes.{node.module}"
        # By way of `emma.environment`, which answers signals, and the parent's death, before the heavy imports.
        command = [sys.executable, "-m", "emma.environment", module, "--ros-args", "--params-file", str(file)]
        command += ["-r", f"__node:={node.node}"]
        if node.nice:
            command = ["nice", "-n", str(node.nice), *command]
        environment = cleaned(os.environ) | {STOP_WITH_PARENT: "1", "PYTHONUNBUFFERED": "1"}
        with self.log(node.node).open("wb") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )


def _wait(children: Iterator[subprocess.Popen] | Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(max(0.0, deadline - time.monotonic()))
