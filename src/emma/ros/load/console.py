"""`python -m emma.ros.load.console`: a robot with and without open consoles, measured; JSON for `emma bench`."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import psutil

from emma.console.config import ConsoleConfig
from emma.control.controller import Mode
from emma.control.policy_state import POLICY_STATE
from emma.environment import cleaned
from emma.errors import EmmaError
from emma.files import atomic_write_text
from emma.interrupts import tied
from emma.robots.spec import load_robot
from emma.ros.client import RosClient
from emma.ros.domain import own_domain
from emma.ros.load.control import begin, begin_bag, enable, end, save_bag
from emma.sessions.graph import Graph, NodeProcess

# How many pages are open in turn. The first has the robot alone: no console runs.
VIEWERS = (0, 1, 3)
# After a change, until it no longer shows. START_S only ends a wait that would never end.
SETTLE_S = 2.0
START_S = 300.0
SAMPLE_S = 0.5
# Of the samples, this many from the beginning on are of a process that still warms up.
WARM_UP = 0.25
# A line through less than so many seconds tells nothing about an hour.
GROWTH_S = 25.0


def main(argv: list[str] | None = None) -> int:
    """Measure and write what was found."""
    parser = argparse.ArgumentParser(prog="python -m emma.ros.load.console", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="for logs and bags")
    parser.add_argument("--json", type=Path, required=True, help="file for the figures")
    parser.add_argument("--robot", required=True, help="robot.yaml")
    parser.add_argument("--policy", type=Path, required=True, help="bundle")
    parser.add_argument("--port", type=int, required=True, help="of the console")
    parser.add_argument("--seconds", type=float, required=True, help="for each number of open pages")
    args = parser.parse_args(argv)
    try:
        found = measure(args)
    except EmmaError as error:
        print(f"emma: {error}", file=sys.stderr)
        return 2
    atomic_write_text(args.json, json.dumps(found, indent=2) + "\n")
    return 0


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """For each of VIEWERS: ticks and missed ones; with a console its cores, latency, bytes and memory."""
    cameras = load_robot(args.robot).camera_names
    nodes = (
        NodeProcess(module="load.arm", name="sim", parameters={"robot": args.robot}),
        NodeProcess(module="recorder", parameters={"robot": args.robot, "root": str(args.out / "bags")}),
        NodeProcess(module="policy", parameters={"robot": args.robot, "policy": str(args.policy), "isolate": True}),
    )
    page = NodeProcess(module="web_console", parameters={"robot": args.robot, "port": args.port})
    url = ConsoleConfig(port=args.port).url.rstrip("/")
    found: dict[str, Any] = {}
    lost = 0
    with ExitStack() as stack:
        stack.enter_context(own_domain())
        graph = stack.enter_context(Graph(nodes, args.out / "logs"))
        client = stack.enter_context(RosClient("bench", alive=graph.check))
        bag = begin(client)
        console: psutil.Process | None = None
        for viewers in VIEWERS:
            if viewers and console is None:
                shown = stack.enter_context(Graph((page,), args.out / "logs"))
                console = psutil.Process(shown.pids["web_console"])
                _wait_for_page(url, shown)
            if viewers:
                lost, bag = lost + _drop(client, bag), begin_bag(client)
            # What was started may have held the arm's driver up for longer than the policy puts up with.
            enable(client)
            time.sleep(SETTLE_S)
            found[str(viewers)] = _phase(client, console, url, cameras, viewers, args)
        found["recorder_lost"] = lost + end(client)
    return found


def _drop(client: RosClient, bag: Path) -> int:
    """Save and delete a bag, or those of an hour would fill the disk; returns how many messages were lost."""
    lost = save_bag(client)
    shutil.rmtree(bag)
    return lost


def _phase(
    client: RosClient,
    console: psutil.Process | None,
    url: str,
    cameras: tuple[str, ...],
    viewers: int,
    args: argparse.Namespace,
) -> dict[str, Any]:
    before, process = _timings(client), None
    file = args.out / f"viewers_{viewers}.json"
    if viewers:
        command = [sys.executable, "-m", "emma.environment", "emma.ros.load.viewers", "--url", url, "--json", str(file)]
        command += ["--viewers", str(viewers), "--seconds", str(args.seconds), "--cameras", *cameras]
        process = subprocess.Popen(command, env=tied(cleaned(os.environ)))
    with watched(console) as usage:
        if process is None:
            deadline = time.monotonic() + args.seconds
            while (left := deadline - time.monotonic()) > 0:
                time.sleep(min(left, 1.0))
                client.alive()
        elif process.wait(args.seconds + START_S) != 0:
            raise EmmaError("the viewers failed", found=f"exit code {process.returncode}", expected="0")
    after = _timings(client)
    counts = {key: after.get(key, 0) - before.get(key, 0) for key in ("ticks", "missed_ticks")}
    state = client.heard(POLICY_STATE)
    if state is None or state.mode in (Mode.STOPPED, Mode.DISABLED):
        raise EmmaError(
            f"the policy stopped beside {viewers} pages",
            found=state.reason if state else "no state of it",
            expected="commands until the end",
            fix="run this on a machine with nothing else to do",
        )
    seen = json.loads(file.read_text()) if process is not None else {}
    return counts | seen | (usage.figures() if console is not None else {})


@dataclass
class Usage:
    """Processor time and memory of the console while it is watched: (s, cpu s, MB) by sample."""

    samples: list[tuple[float, float, float]] = field(default_factory=list)

    def figures(self) -> dict[str, float | None]:
        """cores: processor seconds a second; memory_mb at the end; memory_growth_mb_h: a straight line through the
        memory over time, once the process is warm; None where it was watched for less than `GROWTH_S` then."""
        if len(self.samples) < 2:
            return {}
        times, cpu, memory = (np.array(column) for column in zip(*self.samples, strict=True))
        warm = int(len(times) * WARM_UP)
        long = times[-1] - times[warm] >= GROWTH_S
        return {
            "cores": float((cpu[-1] - cpu[0]) / (times[-1] - times[0])),
            "memory_mb": float(memory[-1]),
            "memory_growth_mb_h": float(np.polyfit(times[warm:], memory[warm:], 1)[0]) * 3600.0 if long else None,
        }


@contextmanager
def watched(process: psutil.Process | None) -> Iterator[Usage]:
    """Samples of a process while the block runs."""
    usage, ended = Usage(), threading.Event()

    def work() -> None:
        while process is not None and process.is_running():
            times = process.cpu_times()
            usage.samples.append((time.monotonic(), times.user + times.system, process.memory_info().rss / 1e6))
            if ended.wait(SAMPLE_S):
                return

    thread = threading.Thread(target=work, name="usage", daemon=True)
    thread.start()
    try:
        yield usage
    finally:
        ended.set()
        thread.join(5.0)


def _timings(client: RosClient) -> Mapping[str, float]:
    """A summary of the policy node that was made after this call: it sums up once a second."""
    before = client.heard(POLICY_STATE)
    seen = before.stats_seq if before else 0
    newer = client.wait_for(POLICY_STATE, lambda s: s.stats_seq > seen, START_S)
    if newer is None:
        raise EmmaError("the policy node reports no timings", found=before, expected="one a second")
    return newer.timings


def _wait_for_page(url: str, graph: Graph) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            urlopen(url, timeout=5.0).close()
            return
        except (URLError, OSError):
            graph.check()
            if time.monotonic() > deadline:
                raise EmmaError("the console does not answer", found=f"nothing after {START_S:g} s") from None
            time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
