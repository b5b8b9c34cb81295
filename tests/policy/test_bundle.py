"""What a bundle says it is for, and what is refused before anything is loaded."""

import json
from dataclasses import replace

import pytest

from emma.errors import EmmaError
from emma.policy.bundle import MANIFEST, Bundle, BundleInfo, load_bundle, write_manifest
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
        ({"action_names": SPEC.joint_names[::-1]}, "does not fit robot desk_arm", "joints"),
        ({"cameras": ("top", "ceiling")}, "needs a camera that robot desk_arm does not have", "top, wrist"),
    ],
    ids=["robot", "order of joints", "camera"],
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
        (lambda f: (f / MANIFEST).write_text("{"), "cannot be read"),
        (lambda f: (f / MANIFEST).write_text("[]"), "cannot be read"),
        (lambda f: changed(f, format=2), "has another format"),
        (lambda f: changed(f, fps=0), "cannot be read"),
        (lambda f: changed(f, surprise=1), "cannot be read"),
    ],
    ids=["no manifest", "no weights", "cut off", "a list", "format", "fps", "unknown key"],
)
def test_a_broken_bundle_is_told(folder, spoil, says):
    spoil(folder)
    with pytest.raises(EmmaError, match=says):
        load_bundle(folder)


def changed(folder, **values):
    (folder / MANIFEST).write_text(json.dumps(json.loads((folder / MANIFEST).read_text()) | values))
