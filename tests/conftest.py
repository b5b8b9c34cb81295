"""The environment of every test: one thread a library, no network, a ROS graph of its own."""

import atexit
import os
from collections.abc import Iterator

# Libraries read these when they are first imported, which is after this file.
for _pool in ("OMP", "MKL", "OPENBLAS", "NUMEXPR"):
    os.environ[f"{_pool}_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["WANDB_MODE"] = "disabled"

os.environ.pop("ROS_STATIC_PEERS", None)

import pytest  # noqa: E402

from emma.ros.domain import own_domain  # noqa: E402

# Every test process holds the lock of a domain of its own until it ends, so two runs on one machine cannot meet.
_domain = own_domain()
_domain.__enter__()
atexit.register(_domain.__exit__, None, None, None)

pytest_plugins = ["bag_fixtures", "simulator_fixtures"]


SLOW_TIMEOUT_S = 3600.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need a GPU are skipped, with the reason, where there is none; slow ones have more time."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT_S))
    needing = [item for item in items if item.get_closest_marker("gpu")]
    if not needing:
        return
    import torch

    if not torch.cuda.is_available():
        skip = pytest.mark.skip(reason="no CUDA device here")
        for item in needing:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def _ordinary_priority() -> Iterator[None]:
    """As root, SVT-AV1 raises whoever encodes a video to a real-time class: not the tests after that."""
    yield
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
