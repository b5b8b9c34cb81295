"""A program that hears what another version of emma says is told so, and goes on."""

import json
import time

import pytest
from rclpy.context import Context

from emma.control.controller import Mode
from emma.control.policy_state import POLICY_STATE, PolicyState
from emma.errors import EmmaError
from emma.records import encode
from emma.ros.client import RosClient
from emma.ros.policy_watch import PolicyWatch

NEWER = json.dumps({"version": PolicyState.VERSION + 1})


def test_a_state_of_another_version_is_refused_until_one_of_this_version_comes(context: Context, eventually) -> None:
    with RosClient("tester", context=context) as client:
        client.listen(POLICY_STATE)
        assert client.heard(POLICY_STATE) is None
        client.say(POLICY_STATE.name, NEWER)
        with pytest.raises(EmmaError, match="another version"):
            client.wait_for(POLICY_STATE, lambda said: True, 60.0)
        with pytest.raises(EmmaError, match="run the version of emma that wrote it"):
            client.heard(POLICY_STATE)
        client.say(POLICY_STATE.name, encode(PolicyState(mode=Mode.RUNNING)))
        eventually(lambda: _mode(client) is Mode.RUNNING, "the state of this version")


def test_a_person_does_not_take_the_robot_from_a_policy_that_cannot_be_understood(context: Context, eventually) -> None:
    with RosClient("tester", context=context) as client:
        watch = PolicyWatch(client.node)
        asked_s = time.monotonic()
        client.say(POLICY_STATE.name, NEWER)

        def in_the_way() -> bool:
            # The policy node says its state again and again; the last word alone would count as silence in the end.
            client.say(POLICY_STATE.name, NEWER)
            return "another version" in watch.in_the_way(asked_s)

        eventually(in_the_way, "the reason")
        released = PolicyState(mode=Mode.DISABLED, intervention=True)
        client.say(POLICY_STATE.name, encode(released))
        eventually(lambda: watch.in_the_way(asked_s) == "", "the robot")


def _mode(client: RosClient) -> Mode | None:
    try:
        said = client.heard(POLICY_STATE)
    except EmmaError:
        return None
    return said.mode if said else None
