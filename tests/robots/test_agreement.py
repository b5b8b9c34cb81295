"""Two sides mean the same, are made to, or are told apart before anything moves."""

from dataclasses import replace

import numpy as np
import pytest

from emma.errors import EmmaError
from emma.robots.agreement import Description, VectorMap, compare, of_robot, of_vector, parse_map
from emma.robots.spec import load_robot

SPEC = load_robot("desk_arm")
ROBOT = of_robot(SPEC)
NAMES = SPEC.joint_names


def feature(names, size=None):
    return {"dtype": "float32", "shape": (size or len(names),), "names": names}


def dataset(names=NAMES, *, size=None, **more):
    return of_vector("dataset other", feature(names, size), **more)


def within_limits():
    return np.array([(j.lower, j.upper) for j in SPEC.joints])


def test_the_same_is_the_same():
    agreement = compare(ROBOT, dataset(ranges=within_limits(), cameras={"top": (96, 96)}))
    assert agreement.identity
    assert not agreement.mismatches
    assert not agreement.assumed


def test_another_order_is_put_right_and_reported():
    agreement = compare(ROBOT, dataset(list(reversed(NAMES))))
    assert not agreement.mismatches
    assert agreement.assumed == (f"dataset other: joints put into the order {', '.join(NAMES)}",)
    values = np.arange(len(NAMES), dtype=np.float32)
    np.testing.assert_array_equal(agreement.vector.ours(values), values[::-1])
    np.testing.assert_array_equal(agreement.vector.theirs(agreement.vector.ours(values)), values)


def test_lerobots_names_of_joints_are_understood():
    agreement = compare(ROBOT, dataset({"motors": [f"{name}.pos" for name in NAMES]}, size=len(NAMES)))
    assert agreement.identity
    assert not agreement.mismatches


@pytest.mark.parametrize(
    ("theirs", "found", "fix"),
    [
        (dataset(NAMES[:-1]), ", ".join(NAMES[:-1]), ""),
        (dataset(None, size=14), "14 values", ""),
        (dataset([*NAMES[:-1], "claw"]), "claw", f"--map {NAMES[-1]}=claw"),
        (dataset(ranges=np.degrees(within_limits())), "values of", "--units degrees"),
        (dataset(cameras={"ceiling": (96, 96)}), "camera ceiling", "=observation.images.ceiling"),
        (dataset(cameras={"top": (480, 640)}), "640 x 480", "size in robot.yaml"),
        (dataset(fps=1e4), "actions/s", ""),
        (Description(what="bag", types={SPEC.state_topic: "sensor_msgs/msg/Image"}), "Image", "correct robot.yaml"),
        (Description(what="policy", robot="another"), "another", ""),
    ],
    ids=["one missing", "number", "name", "degrees", "camera", "size", "rate", "type", "robot"],
)
def test_what_differs_is_refused_with_what_to_do(theirs, found, fix):
    with pytest.raises(EmmaError, match="does not fit") as caught:
        compare(ROBOT, theirs).require("it does not fit")
    assert found in str(caught.value.found)
    assert fix in (caught.value.fix or "")


def test_unnamed_joints_are_taken_in_order_and_that_is_reported():
    for names in (None, [f"motor_{i}" for i in range(len(NAMES))]):
        agreement = compare(ROBOT, dataset(names, size=len(NAMES)))
        assert not agreement.mismatches
        assert "does not name its joints" in agreement.assumed[0]


def test_joints_and_cameras_are_renamed_as_asked():
    renamed = parse_map([f"{NAMES[0]}=base.pos", "top=observation.images.ceiling"])
    theirs = dataset(["base.pos", *NAMES[1:]], cameras={"ceiling": (96, 96)})
    agreement = compare(ROBOT, theirs, renamed=renamed).require("it does not fit")
    assert agreement.cameras == {"top": "ceiling"}
    with pytest.raises(EmmaError, match="does not fit") as caught:
        compare(ROBOT, theirs, renamed={**renamed, "wrist": "nowhere"}).require("it does not fit")
    assert "nowhere" in str(caught.value.found)


def test_degrees_and_percent_become_the_robots_units():
    limits = within_limits()
    angles = np.array([joint.unit == "rad" for joint in SPEC.joints])
    degrees = np.where(angles[:, None], np.degrees(limits), limits)
    agreement = compare(ROBOT, dataset(ranges=degrees), units="degrees").require("it does not fit")
    np.testing.assert_allclose(agreement.vector.ours(degrees.T).T, limits, rtol=1e-5)
    percent = np.array([(0, 100) if n in SPEC.gripper else (-100, 100) for n in NAMES])
    agreement = compare(ROBOT, dataset(ranges=percent), units="percent").require("it does not fit")
    np.testing.assert_allclose(agreement.vector.ours(percent.T).T, limits, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(agreement.vector.theirs(limits.T).T, percent, atol=1e-3)


def test_a_state_may_hold_more_than_the_joints_but_an_action_may_not():
    theirs = dataset([*NAMES, "base_x"])
    assert compare(ROBOT, theirs, partial=True).vector.order == tuple(range(len(NAMES)))
    assert "base_x left out" in compare(ROBOT, theirs, partial=True).assumed[0]
    assert compare(ROBOT, theirs).mismatches


@pytest.mark.parametrize("text", ["top", "=a", "a=", "top=a"])
def test_a_map_is_read_strictly(text):
    with pytest.raises(EmmaError, match="bad --map"):
        parse_map(["top=front", text])


def test_equal_sizes_of_images_only():
    other = replace(ROBOT, cameras={"top": None})
    assert not compare(other, dataset(cameras={"top": (1, 1)})).mismatches
    assert VectorMap.same(2).identity
    assert not VectorMap(order=(1, 0), scale=(1.0, 1.0), shift=(0.0, 0.0)).identity
