"""`python -m emma.ros.load.control`: control beside sim, cameras and recorder, measured; JSON for `emma bench`."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from emma.bags.reader import Bag
from emma.control.controller import Mode
from emma.control.policy_state import POLICY_STATE
from emma.errors import EmmaError
from emma.files import atomic_write_text
from emma.recording.recorder_state import RECORDER_STATE, EpisodeBegun, EpisodeEnded
from emma.records import Record, Topic
from emma.robots.spec import RobotSpec, load_robot
from emma.ros.client import RosClient
from emma.ros.domain import own_domain
from emma.ros.swap_client import swap_policy
from emma.sessions.graph import Graph, NodeProcess
from emma.signs import doing
from emma.sim.sim_state import SimReset

# How the policy is run: by the policy node with inference in a process or a thread of its own, or by a plain timer.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "process": ("policy", {"isolate": True}),
    "thread": ("policy", {"isolate": False}),
    "plain": ("load.timer_policy", {}),
}
SWAPS = ("after", "within")
# A loading policy imports torch; on a busy machine that takes its time.
START_S, ANSWER_S, ENABLE_S = 600.0, 30.0, 15.0
NS = 1_000_000_000


def main(argv: list[str] | None = None) -> int:
    """Run one variant and write what its ticks were like."""
    parser = argparse.ArgumentParser(prog="python -m emma.ros.load.control", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="for logs and bags")
    parser.add_argument("--json", type=Path, required=True, help="file for the figures")
    parser.add_argument("--robot", required=True, help="robot.yaml")
    parser.add_argument("--policy", type=Path, required=True, help="bundle")
    parser.add_argument("--seconds", type=float, required=True, help="how long each variant commands")
    parser.add_argument("--variant", choices=VARIANTS, default="process")
    parser.add_argument("--swap", choices=SWAPS, help="load the policy a second time, after those seconds or in them")
    args = parser.parse_args(argv)
    try:
        found = measure(args)
    except EmmaError as error:
        print(f"emma: {error}", file=sys.stderr)
        return 2
    atomic_write_text(args.json, json.dumps(found, indent=2) + "\n")
    return 0


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Arm, recorder and the policy; commands for `args.seconds`. Timings of the node, and what the bag holds."""
    spec = load_robot(args.robot)
    out, (module, extra) = args.out, VARIANTS[args.variant]
    recorder = {"robot": args.robot, "root": str(out / "bags"), "kind": "policy"}
    policy = {"robot": args.robot, "policy": str(args.policy), **extra}
    nodes = (
        NodeProcess(module="load.arm", name="sim", parameters={"robot": args.robot}),
        NodeProcess(module="recorder", parameters=recorder),
        NodeProcess(module=module, name="policy", parameters=policy),
    )
    with ExitStack() as stack:
        stack.enter_context(own_domain())
        graph = stack.enter_context(Graph(nodes, out / "logs"))
        client = stack.enter_context(RosClient("bench", alive=graph.check))
        bag, found = _command(client, args.seconds, args.policy, args.swap)
    return {**found, **_seen(spec, bag)}


def _command(client: RosClient, seconds: float, policy: Path, swap: str | None) -> tuple[Path, dict[str, Any]]:
    """The bag and the node's timings. swap: when the policy is loaded once more, while the arm moves; of SWAPS."""
    bag = begin(client)
    deadline = time.monotonic() + seconds
    swapped = swap_policy(policy, client=client) if swap == "within" else None
    with doing(lambda: f"commands for {max(deadline - time.monotonic(), 0):.0f} s more"):
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, 1.0))
            client.alive()
    state = client.heard(POLICY_STATE)
    found: dict[str, Any] = dict(state.timings) if state else {}
    if swap == "after":
        swapped = swap_policy(policy, client=client)
    if swapped is not None:
        found |= {"swap_s": swapped.seconds, "swap_ticks": swapped.ticks, "swap_missed_ticks": swapped.missed_ticks}
    return bag, found | {"recorder_lost": end(client)}


def begin(client: RosClient) -> Path:
    """Wait for the arm, recorder and policy of `client`'s graph, then record and command; returns the bag."""
    for topic in (POLICY_STATE, RECORDER_STATE):
        client.listen(topic)
    client.wait_for_service("/sim/reset", START_S)
    client.wait_for_service("/recorder/start", START_S)
    client.wait_for_service("/policy/enable", START_S)
    _expect(client, POLICY_STATE, lambda s: s.mode is not Mode.INACTIVE, START_S)
    instruction = client.ask("/sim/reset", SimReset).instruction
    client.say("/instruction", instruction)
    _expect(client, POLICY_STATE, lambda s: s.instruction == instruction, ANSWER_S)
    _expect(client, RECORDER_STATE, lambda s: s.instruction == instruction and not s.unheard, ANSWER_S)
    bag = begin_bag(client)
    enable(client)
    return bag


def begin_bag(client: RosClient) -> Path:
    """Let the recorder begin; returns the bag."""
    return client.ask("/recorder/start", EpisodeBegun).folder


def save_bag(client: RosClient) -> int:
    """Let the recorder save; returns how many messages it lost."""
    kept = client.ask("/recorder/save", EpisodeEnded, 60.0)
    return kept.dropped + kept.lost


def end(client: RosClient) -> int:
    """Stop commanding and save the bag; returns how many messages the recorder lost."""
    client.switch("/policy/enable", False)
    return save_bag(client)


def _seen(spec: RobotSpec, folder: Path) -> dict[str, Any]:
    """From the bag, as any other node saw it: the longest time between two commands, and the cameras' slowest rate."""
    with Bag(folder) as bag:
        names, index = (spec.command.topic, *_images(spec)), bag.index
        stamps = {name: np.sort(index.stamp_ns[index.of(bag.topics[name].number)]) for name in names}
    commands = stamps[spec.command.topic]
    rates = [(len(stamps[topic]) - 1) / np.ptp(stamps[topic]) * NS for topic in _images(spec)]
    return {"command_gap_max_ms": float(np.diff(commands).max() / 1e6), "camera_hz": float(min(rates))}


def _images(spec: RobotSpec) -> list[str]:
    return [camera.image_topic for camera in spec.cameras]


def enable(client: RosClient) -> None:
    """Let the policy command, as soon as it may. Raises EmmaError where it may not."""
    deadline = time.monotonic() + ENABLE_S
    while True:
        try:
            client.switch("/policy/enable", True)
            return
        except EmmaError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _expect[T: Record](client: RosClient, topic: Topic[T], condition: Callable[[T], object], patience_s: float) -> None:
    if client.wait_for(topic, condition, patience_s) is None:
        raise EmmaError(f"{topic.name} does not come to that", found=client.heard(topic))


if __name__ == "__main__":
    sys.exit(main())
