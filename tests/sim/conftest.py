"""One simulator for the tests that only look or drive; each resets it, so none depends on another."""

import pytest

from emma.robots.spec import load_robot
from emma.sim.arm import DeskArm


@pytest.fixture(scope="session")
def spec():
    return load_robot("desk_arm")


@pytest.fixture(scope="session")
def shared_arm(spec):
    with DeskArm(spec) as sim:
        yield sim


@pytest.fixture
def arm(shared_arm):
    shared_arm.set_domain("source")
    shared_arm.set_task("place")
    shared_arm.reset(0, "bin")
    return shared_arm
