"""One simulated arm and its reach for all tests of calibration."""

import numpy as np
import pytest

from emma.bench.calibrate_rig import SimArm, candidates


@pytest.fixture(scope="session")
def arm() -> SimArm:
    return SimArm()


@pytest.fixture(scope="session")
def reach(arm: SimArm) -> np.ndarray:
    return candidates(arm, number=12000)
