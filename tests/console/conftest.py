"""A console on the loopback for a test."""

from collections.abc import Iterator

import pytest
from console_browser import MemoryRobot, running


@pytest.fixture
def robot() -> MemoryRobot:
    return MemoryRobot()


@pytest.fixture
def url(robot: MemoryRobot) -> Iterator[str]:
    with running(robot) as address:
        yield address
