"""The operator's lease on a clock of the test."""

import pytest

from emma.console.lease import Lease
from emma.errors import EmmaError


def test_a_silent_operator_loses_the_lease() -> None:
    now = [0.0]
    lease = Lease(20.0, clock=lambda: now[0])
    lease.take("a", "Ada")
    now[0] = 15.0
    lease.seen("a")
    now[0] = 34.0
    lease.require("a")
    now[0] = 36.0
    with pytest.raises(EmmaError, match="only watches"):
        lease.require("a")
    lease.take("b", "Grace")
    assert lease.shown("b") == {"mine": True, "name": "Grace", "taken_from": ""}
    lease.seen("a")
    assert not lease.shown("a")["mine"]


def test_dropping_is_for_the_holder_alone() -> None:
    lease = Lease(20.0, clock=lambda: 0.0)
    lease.take("a", "Ada")
    lease.drop("b")
    lease.require("a")
    lease.drop("a")
    assert lease.holder is None
