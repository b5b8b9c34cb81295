"""What a bundle says it is for, and what is refused before anything is loaded."""

import json
from dataclasses import replace

import numpy as np
import pytest

from emma.errors import EmmaError
from emma.observation import Observation
from emma.policy.bundle import MANIFEST, Bundle, BundleInfo, load_bundle, write_manifest
from emma.policy.chunk_blending import Previous
from emma.policy.fitted import FittedRuntime, fitted
from emma.robots.spec import load_robot

SPEC = load_robot("desk_arm")
INFO = BundleInfo(robot=SPEC.name, policy_type="act", cameras=("top",), fps=10, chunk=16, action_names=SPEC.joint_names)


@pytest.fixture
def folder(tmp_path):
    """A bundle without weights in it."""
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    write_manifest(tmp_path, INFO)
    return tmp_path


def test_what_was_written_is_read(folder):
    assert load_bundle(folder) == Bundle(path=folder, info=INFO)
    load_bundle(folder).check(SPEC)


@pytest.mark.parametrize(
    ("change", "problem", "found"),
    [
        ({"robot": "another"}, "does not fit robot desk_arm", "robot another"),
        ({"action_names": SPEC.joint_names[:-1]}, "does not fit robot desk_arm", "joints"),
        ({"cameras": ("top", "ceiling")}, "does not fit robot desk_arm", "camera ceiling"),
        ({"fps": 1000}, "does not fit robot desk_arm", "1000 actions/s"),
    ],
    ids=["robot", "joints", "camera", "rate"],
)
def test_a_bundle_for_something_else_is_refused(tmp_path, change, problem, found):
    with pytest.raises(EmmaError, match=problem) as caught:
        Bundle(path=tmp_path, info=replace(INFO, **change)).check(SPEC)
    assert found in str(caught.value.found)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: (f / MANIFEST).unlink(), "is not a policy bundle"),
        (lambda f: (f / "model.safetensors").unlink(), "is not whole"),
        (lambda f: (f / MANIFEST).write_text("{"), "is not JSON"),
        (lambda f: (f / MANIFEST).write_text("[]"), "is not a record"),
        (lambda f: changed(f, version=2), "has another version"),
        (lambda f: changed(f, fps=0), "bad value for a BundleInfo"),
        (lambda f: changed(f, surprise=1), "unknown fields"),
    ],
    ids=["no manifest", "no weights", "cut off", "a list", "version", "fps", "unknown key"],
)
def test_a_broken_bundle_is_told(folder, spoil, says):
    spoil(folder)
    with pytest.raises(EmmaError, match=says):
        load_bundle(folder)


def changed(folder, **values):
    (folder / MANIFEST).write_text(json.dumps(json.loads((folder / MANIFEST).read_text()) | values))


class Echo:
    """Answers with the state that it was shown, and keeps what it saw."""

    name, reason, rtc, past_s, note, isolated = "echo", "test", "", (), "", False

    def infer(self, observation, instruction, previous=None):
        self.seen, self.previous = observation, previous
        return np.stack([observation.state] * 3)

    def reset(self, seed): ...

    def close(self): ...


def test_joints_in_another_order_are_put_right_on_the_way_in_and_out(tmp_path):
    info = replace(INFO, action_names=SPEC.joint_names[::-1], cameras=("ceiling",))
    agreement = Bundle(path=tmp_path, info=info).check(SPEC, renamed={"top": "observation.images.ceiling"})
    assert "put into the order" in agreement.assumed[0]
    runtime = fitted(Echo(), agreement)
    assert isinstance(runtime, FittedRuntime)
    state = np.arange(7, dtype=np.float32)
    seen = Observation(stamp_ns=0, state=state, images={"top": np.zeros((2, 2, 3), np.uint8)})
    chunk = runtime.infer(replace(seen, past=(seen,)), "go", Previous(actions=chunk_of(state), delay=1, horizon=2))
    np.testing.assert_array_equal(chunk, chunk_of(state))
    np.testing.assert_array_equal(runtime.inner.seen.state, state[::-1])
    np.testing.assert_array_equal(runtime.inner.seen.past[0].state, state[::-1])
    np.testing.assert_array_equal(runtime.inner.previous.actions, chunk_of(state[::-1]))
    assert list(runtime.inner.seen.images) == ["ceiling"]


def chunk_of(state):
    return np.stack([state] * 3)


def test_what_agrees_runs_as_it_is(tmp_path):
    echo = Echo()
    assert fitted(echo, Bundle(path=tmp_path, info=INFO).check(SPEC)) is echo


def lerobot_folder(folder, joints=7, **more):
    config = {
        "type": "act",
        "chunk_size": 16,
        "input_features": {
            "observation.state": {"type": "STATE", "shape": [joints]},
            "observation.images.top": {"type": "VISUAL", "shape": [3, 96, 96]},
        },
        "output_features": {"action": {"type": "ACTION", "shape": [joints]}},
    }
    (folder / "config.json").write_text(json.dumps(config | more))
    (folder / "model.safetensors").write_text("")
    return folder


def test_a_lerobot_checkpoint_is_taken_for_the_robot_that_is_named(tmp_path):
    bundle = load_bundle(lerobot_folder(tmp_path), SPEC)
    assert bundle.info.cameras == ("top",)
    assert (bundle.info.chunk, bundle.info.fps, bundle.info.robot) == (16, SPEC.fps, "desk_arm")
    assert any("in this order" in line for line in bundle.assumed)
    assert bundle.check(SPEC).identity
    (tmp_path / "train_config.json").write_text(json.dumps({"env": {"fps": 20}}))
    assert load_bundle(tmp_path, SPEC).info.fps == 20


@pytest.mark.parametrize(
    ("joints", "change", "robot", "says"),
    [
        (7, {}, None, "does not say which robot"),
        (6, {}, SPEC, "does not fit robot"),
        (7, {"output_features": None}, SPEC, "cannot be read"),
        (7, {"chunk_size": None}, SPEC, "cannot be read"),
    ],
    ids=["no robot", "joints", "no outputs", "no chunk"],
)
def test_a_lerobot_checkpoint_that_does_not_fit_is_told(tmp_path, joints, change, robot, says):
    with pytest.raises(EmmaError, match=says):
        load_bundle(lerobot_folder(tmp_path, joints, **change), robot)


def test_picture_sizes_of_the_policy_are_compared(tmp_path):
    features = {"observation.images.top": {"type": "VISUAL", "shape": [3, 480, 640]}}
    with pytest.raises(EmmaError, match="does not fit") as caught:
        load_bundle(lerobot_folder(tmp_path, input_features=features), SPEC).check(SPEC)
    assert "640 x 480" in str(caught.value.found)
