"""Live graphs: real nodes, real DDS on the loopback, each graph in a domain that nobody else uses."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import rclpy
from rclpy.context import Context

from emma.errors import EmmaError
from emma.robots.spec import load_robot
from emma.ros.client import RosClient
from emma.ros.domain import own_domain
from emma.sessions.graph import Graph, NodeProcess

# Nothing here depends on how fast the machine is: this only ends a test that would never end.
PATIENCE_S = 60.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.ros)


def _eventually(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """The first true value of `condition`."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"never: {what}")


@contextmanager
def _running_graph(*nodes: NodeProcess, logs: Path) -> Iterator[tuple[Graph, RosClient]]:
    """Nodes in a domain of their own, and a client in it."""
    with own_domain(), Graph(nodes, logs) as graph, RosClient("tester", alive=graph.check) as client:
        yield graph, client


def _alive(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Heard:
    """Messages of one topic in the order they came."""

    def __init__(self, client: RosClient, kind: type, topic: str, profile: Any) -> None:
        self.messages: list[Any] = []
        client.node.create_subscription(kind, topic, self.messages.append, profile)

    def wait(self, count: int) -> list[Any]:
        """At least `count` messages."""
        _eventually(lambda: len(self.messages) >= count, f"{count} messages, not {len(self.messages)}")
        return list(self.messages)


def _taken(client: RosClient, service: str = "/teleop/take") -> None:
    """Ask for the robot as a person does: on a busy machine its state is too old at times, so again."""

    def asked() -> bool:
        try:
            client.trigger(service)
        except EmmaError as error:
            if "no joint states" not in str(error):
                raise
            return False
        return True

    _eventually(asked, "joint states that are new enough to take the robot")


# Test modules cannot import this file, so what they share are fixtures that hand out functions.
@pytest.fixture(scope="session")
def eventually():
    return _eventually


@pytest.fixture(scope="session")
def running_graph():
    return _running_graph


@pytest.fixture(scope="session")
def take():
    return _taken


@pytest.fixture(scope="session")
def alive():
    return _alive


@pytest.fixture(scope="session")
def listen():
    return Heard


@pytest.fixture(scope="session")
def spec():
    return load_robot("desk_arm")


@pytest.fixture
def context() -> Iterator[Context]:
    """A ROS context in this process."""
    made = Context()
    with own_domain():
        rclpy.init(args=[], context=made)
        yield made
        rclpy.try_shutdown(context=made)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory) -> Path:
    """A small policy that has learned nothing, made and exported by the same functions as any other."""
    from emma.datasets.writer import DatasetWriter
    from emma.policy.bundle import load_bundle
    from emma.policy.export.bundle_export import export_bundle
    from emma.policy.export.parity import Case
    from emma.sim.demonstrations import demonstrations
    from emma.training import loop
    from emma.training.config import TrainConfig

    root = tmp_path_factory.mktemp("bundle")
    with DatasetWriter(root / "data", load_robot("desk_arm"), cameras=("top", "wrist"), depth=False) as writer:
        for episode in demonstrations(1, seed=0, noise=0.0, cameras=("top", "wrist")):
            writer.add_episode(zip(episode.observations, episode.action, strict=True), episode.instruction, {"seed": 0})
    small = {"conv_channels": [8, 8, 8], "condition_dim": 32, "hidden_dim": 32, "num_blocks": 1}
    config = TrainConfig(
        data=(str(root / "data"),), policy="spatial_flow", options=small, steps=1, batch_size=2, log_every=1
    )
    made = loop.train(config, root / "policy")
    cases = [Case(observation, episode.instruction) for observation in episode.observations[:2]]
    export_bundle(load_bundle(made), cases, reference="simulator")
    return made
