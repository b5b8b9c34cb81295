"""Another policy for a running node: taken over in motion, refused where it does not fit, and taken back."""

import json
import shutil

import numpy as np
import pytest
from trajectory_msgs.msg import JointTrajectory

from emma.control.policy_state import POLICY_STATE
from emma.errors import EmmaError
from emma.policy.bundle import MANIFEST
from emma.ros import qos
from emma.ros.swap_client import swap_policy
from emma.sessions.graph import NodeProcess

PATIENCE_S = 120.0


@pytest.fixture
def copy(bundle, tmp_path):
    """copy(name, **manifest): a bundle like `bundle` with another manifest."""

    def make(name, **manifest):
        folder = tmp_path / name
        shutil.copytree(bundle, folder)
        (folder / MANIFEST).write_text(json.dumps(json.loads((folder / MANIFEST).read_text()) | manifest))
        return folder

    return make


def sim(*cameras):
    return NodeProcess(module="sim", parameters={"cameras": list(cameras), "depth": False})


def policy(bundle, **parameters):
    parameters = {"policy": str(bundle), "robot": "desk_arm", "instruction": "put the cube in the bin", **parameters}
    return NodeProcess(module="policy", parameters=parameters)


def running(client, eventually):
    client.listen(POLICY_STATE)
    assert client.wait_for(POLICY_STATE, lambda s: s.mode == "disabled", PATIENCE_S)

    def enabled():
        try:
            return client.switch("/policy/enable", True)
        except EmmaError as error:
            if "streams are missing or old" in str(error):
                return ""
            raise

    eventually(enabled, "enabled")
    assert client.wait_for(POLICY_STATE, lambda s: s.mode == "running", PATIENCE_S)


def within_limits(spec, messages):
    """Every step keeps the velocity limits; a busy machine may lose a message on the way here, then two are one."""
    path = np.array([message.points[0].positions for message in messages])
    stamps = np.array([message.header.stamp.sec + message.header.stamp.nanosec * 1e-9 for message in messages])
    ticks = np.maximum(np.ceil(np.diff(stamps) * spec.control_rate_hz + 0.5), 1.0)
    limits = np.array([joint.velocity for joint in spec.joints]) / spec.control_rate_hz
    return (np.abs(np.diff(path, axis=0)) <= ticks[:, None] * limits + 1e-9).all()


@pytest.mark.parametrize(
    "isolate", [pytest.param(True, marks=pytest.mark.slow, id="own process"), pytest.param(False, id="thread")]
)
def test_policies_are_changed_in_motion_and_back(
    running_graph, bundle, copy, tmp_path, spec, listen, eventually, isolate
):
    other = copy("other")
    with running_graph(sim("top", "wrist"), policy(bundle, isolate=isolate), logs=tmp_path / "logs") as (graph, client):
        commands = listen(client, JointTrajectory, spec.command.topic, qos.COMMAND)
        running(client, eventually)
        before = client.heard(POLICY_STATE)
        assert before.runtime.endswith("own process") is isolate
        result = swap_policy(other, client=client)
        assert result.policy == other
        assert result.previous == bundle
        # It commanded all the time: every tick of the loop is in the count, none of them without a command.
        assert result.ticks > 0
        assert client.heard(POLICY_STATE).policy == str(other)
        assert client.heard(POLICY_STATE).mode in ("running", "holding")
        back = swap_policy(bundle, client=client)
        assert (back.policy, back.previous) == (bundle, other)
        client.switch("/policy/enable", False)
        assert within_limits(spec, list(commands.messages))
        assert graph.stop()["policy"] == 0
    assert "Traceback" not in (tmp_path / "logs" / "policy.log").read_text()


@pytest.mark.slow
def test_what_does_not_fit_is_refused_and_the_old_one_runs_on(running_graph, bundle, copy, tmp_path, eventually):
    strange, broken, late = copy("strange", robot="another"), copy("broken"), copy("late", cameras=["top", "front"])
    shutil.rmtree(broken / "export", ignore_errors=True)
    (broken / "model.safetensors").write_bytes(b"not weights")
    with running_graph(sim("top", "wrist"), policy(bundle), logs=tmp_path / "logs") as (_, client):
        running(client, eventually)
        for folder, why in (
            (strange, "does not fit robot desk_arm"),
            (broken, "cannot load policy bundle"),
            (tmp_path / "nowhere", "not a policy bundle"),
            (late, "the policy failed"),
        ):
            with pytest.raises(EmmaError) as caught:
                swap_policy(folder, client=client)
            assert why in str(caught.value), folder
            assert client.heard(POLICY_STATE).policy == str(bundle)
        assert client.heard(POLICY_STATE).mode in ("running", "holding")
        # The parameter says again what runs.
        assert client.wait_for(POLICY_STATE, lambda s: s.swap.phase == "refused", PATIENCE_S)


def test_nothing_is_swapped_where_nothing_runs(running_graph, bundle, tmp_path):
    with running_graph(policy(bundle, autostart=False), logs=tmp_path) as (_, client):
        client.wait_for_service("/policy/swap", PATIENCE_S)
        with pytest.raises(EmmaError, match="nothing to swap"):
            client.trigger("/policy/swap")
