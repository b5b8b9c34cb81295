"""The policy node: a lifecycle, a fixed rate, and an arm that is held when anything it depends on goes away."""

import json
import math
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from trajectory_msgs.msg import JointTrajectory

from emma.control.policy_state import POLICY_STATE
from emma.errors import EmmaError
from emma.policy.bundle import MANIFEST
from emma.ros import qos
from emma.sessions.drive import DriveConfig, drive
from emma.sessions.evaluate import evaluate_ros
from emma.sessions.graph import NodeProcess
from emma.sessions.session import Trial


def nodes(bundle, **parameters):
    return (
        NodeProcess(module="sim", parameters={"cameras": ["top", "wrist"], "depth": False}),
        NodeProcess(module="policy", parameters={"policy": str(bundle), **parameters}),
    )


def positions(heard):
    return np.array([message.points[0].positions for message in heard])


def test_it_holds_when_the_robot_goes_silent_and_when_it_is_told_to_end(
    running_graph, bundle, spec, tmp_path, listen, eventually
):
    with running_graph(*nodes(bundle), logs=tmp_path) as (graph, client):
        client.listen(POLICY_STATE)
        commands = listen(client, JointTrajectory, spec.command.topic, qos.COMMAND)
        diagnostics = listen(client, DiagnosticArray, "/diagnostics", 10)
        assert client.wait_for(POLICY_STATE, lambda s: s.mode == "disabled", 90.0)
        eventually(lambda: _fresh(client), "all streams")
        with pytest.raises(EmmaError, match="no instruction"):
            client.switch("/policy/enable", True)
        assert commands.messages == []
        client.say("/instruction", "put the cube in the bin")
        assert client.wait_for(POLICY_STATE, lambda s: s.instruction, 30.0)
        _run(client, eventually)
        moving = commands.wait(60)
        # Enabled again while it runs, it goes on: no command steps back to the measured pose.
        assert client.switch("/policy/enable", True) == "enabled"
        assert np.ptp(positions(moving[30:]), axis=0).max() > 0
        stamps = np.array([m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in moving])
        assert (np.diff(stamps) > 0).all()
        wanted = {
            ("policy: control", "tick_lateness_p99_ms"),
            ("policy: control", "stamp_to_command_p99_ms"),
            ("policy: streams", "images.top age"),
            ("policy: streams", "skew"),
            ("policy: inference", "runtime"),
        }
        eventually(lambda: wanted <= _said(diagnostics.messages), "diagnostics")

        os.kill(graph.pids["sim"], signal.SIGKILL)
        client.alive = lambda: None
        said = client.wait_for(POLICY_STATE, lambda s: s.mode == "stopped", 30.0)
        assert said is not None
        assert "no joint states" in said.reason
        # Never zeros; and a driver that comes back finds no old command.
        held = positions(list(commands.messages))
        assert np.abs(held[-1]).max() > 0.1
        limits = np.array([joint.velocity for joint in spec.joints]) / spec.control_rate_hz
        assert (np.abs(np.diff(held, axis=0)) <= limits + 1e-9).all()
        client.switch("/policy/enable", False)
        with pytest.raises(EmmaError, match="streams are missing or old"):
            client.switch("/policy/enable", True)
        assert graph.stop()["policy"] == 0
    log = graph.log("policy").read_text()
    assert "Traceback" not in log
    assert "stopped: no joint states" in log


def test_lifecycle(running_graph, bundle, tmp_path, spec, eventually):
    with running_graph(*nodes(bundle, autostart=False), logs=tmp_path) as (graph, client):
        client.wait_for_service("/policy/change_state", 60.0)

        def go(transition):
            request = ChangeState.Request(transition=Transition(id=transition))
            return client.call(ChangeState, "/policy/change_state", request, 90.0).success

        def state():
            return client.call(GetState, "/policy/get_state", GetState.Request(), 30.0).current_state.id

        assert state() == State.PRIMARY_STATE_UNCONFIGURED
        with pytest.raises(EmmaError, match="not active"):
            client.switch("/policy/enable", True)
        assert go(Transition.TRANSITION_CONFIGURE)
        assert state() == State.PRIMARY_STATE_INACTIVE
        assert client.node.count_subscribers(spec.state_topic) == 0
        for _ in range(2):
            assert go(Transition.TRANSITION_ACTIVATE)
            eventually(lambda: client.node.count_subscribers(spec.state_topic) == 1, "a subscription")
            client.say("/instruction", "put the cube in the bin")
            _enable(client, eventually)
            assert go(Transition.TRANSITION_DEACTIVATE)
            eventually(lambda: client.node.count_subscribers(spec.state_topic) == 0, "no subscription")
            eventually(lambda: client.node.count_publishers(spec.command.topic) == 0, "no commands")
        assert go(Transition.TRANSITION_CLEANUP)
        assert state() == State.PRIMARY_STATE_UNCONFIGURED
        assert go(Transition.TRANSITION_CONFIGURE)
        assert go(Transition.TRANSITION_INACTIVE_SHUTDOWN)
        assert graph.stop()["policy"] == 0


def test_a_policy_for_another_robot_is_refused(running_graph, bundle, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for file in bundle.iterdir():
        if file.is_file() and file.name != MANIFEST:
            (other / file.name).symlink_to(file)
    manifest = json.loads((bundle / MANIFEST).read_text()) | {"robot": "another"}
    (other / MANIFEST).write_text(json.dumps(manifest))
    wrong = NodeProcess(module="policy", parameters={"policy": str(other), "robot": "desk_arm"})
    with running_graph(wrong, logs=tmp_path / "logs") as (graph, client):
        client.listen(POLICY_STATE)
        with pytest.raises(EmmaError, match="node policy ended"):
            client.wait_for(POLICY_STATE, lambda s: s.mode == "disabled", 90.0)
        assert "does not fit robot desk_arm" in graph.log("policy").read_text()
    assert graph.stop() == {"policy": 2}


def test_a_session_ends_with_a_result(bundle, tmp_path):
    config = DriveConfig(out=tmp_path, policy=bundle, cameras=("top", "wrist"), depth=False, timeout_s=3.0)
    result = drive(config, [Trial(seed=10_000, target="bin")])
    (row,) = result.rows
    assert row.messages > 0
    assert Path(row.bag).parent == config.bag_folder
    assert result.timings["ticks"] > 10
    assert result.timings["inference_p50_ms"] > 0
    assert 0 <= result.success.value <= 1


def test_a_bundle_that_is_none_is_refused_before_anything_starts(tmp_path):
    with pytest.raises(EmmaError, match="not a policy bundle"):
        evaluate_ros(tmp_path, episodes=1, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _said(arrays):
    return {(status.name, pair.key) for array in arrays for status in array.status for pair in status.values}


def _fresh(client):
    said = client.heard(POLICY_STATE)
    return said is not None and bool(said.ages_s) and all(map(math.isfinite, said.ages_s.values()))


def _run(client, eventually):
    """Enable until it runs: on a busy machine streams stop for so long that it lets go, and a person enables again."""

    _enable(client, eventually)

    def running():
        mode = client.heard(POLICY_STATE).mode
        if mode == "stopped":
            _enable(client, eventually)
        return mode == "running"

    eventually(running, "a policy that runs")


def _enable(client, eventually):
    def enabled():
        try:
            return client.switch("/policy/enable", True)
        except EmmaError as error:
            if "streams are missing or old" in str(error) or "no instruction" in str(error):
                return ""
            raise

    eventually(enabled, "enabled")
