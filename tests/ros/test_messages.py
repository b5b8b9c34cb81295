"""What nodes send is what `emma.messages` reads: there and back, to the bit."""

from dataclasses import replace

import numpy as np
import pytest

from emma.messages import decode_command, decode_depth, decode_image, decode_state, stamp_ns
from emma.robots.spec import Command
from emma.ros import messages

STAMP = 12_345_678_901


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def test_images_there_and_back(spec, rng):
    camera = spec.camera("top")
    color = rng.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
    depth = rng.integers(0, 65536, (camera.height, camera.width), dtype=np.uint16)
    sent = messages.color_image(color, STAMP, camera.frame_id)
    assert (sent.encoding, sent.step, sent.header.frame_id) == ("rgb8", 3 * camera.width, camera.frame_id)
    assert stamp_ns(sent) == STAMP
    np.testing.assert_array_equal(decode_image(sent, camera), color)
    # A view with strides of its own is sent as what it shows.
    np.testing.assert_array_equal(
        decode_image(messages.color_image(color[::-1], STAMP, ""), camera), np.ascontiguousarray(color[::-1])
    )
    np.testing.assert_array_equal(decode_depth(messages.depth_image(depth, STAMP, ""), camera), depth)


def test_joints_there_and_back(spec, rng):
    position = rng.normal(size=len(spec.joints)).astype(np.float32)
    sent = messages.joint_state(spec.joint_names, position, STAMP, position * 2)
    np.testing.assert_array_equal(decode_state(sent, spec), position)
    np.testing.assert_array_equal(np.float32(sent.velocity), position * 2)


@pytest.mark.parametrize("kind", ["joint_trajectory", "forward_position", "joint_state"])
def test_commands_there_and_back_for_every_kind(spec, rng, kind):
    robot = replace(spec, command=Command(topic="/command", kind=kind))
    position = rng.normal(size=len(spec.joints))
    sent = messages.command(robot, position, STAMP)
    assert isinstance(sent, messages.COMMAND_TYPES[kind])
    np.testing.assert_array_equal(decode_command(sent, robot), position.astype(np.float32))
    assert stamp_ns(sent) == (None if kind == "forward_position" else STAMP)


def test_camera_info_is_the_pinhole(spec):
    camera = spec.camera("wrist")
    info = messages.camera_info(camera, np.array([[50.0, 0, 47.5], [0, 51.0, 48.5], [0, 0, 1]]), STAMP)
    assert (info.width, info.height, info.distortion_model) == (camera.width, camera.height, "plumb_bob")
    assert (info.k[0], info.k[4], info.k[2], info.k[5]) == (50.0, 51.0, 47.5, 48.5)
    assert np.reshape(info.p, (3, 4))[:, 3].tolist() == [0, 0, 0]


def test_an_error_outranks_a_warning():
    levels = [messages.status("a", "b", {"x": 1.5}, warn=w, error=e) for w, e in (("", ""), ("w", ""), ("w", "e"))]
    assert [status.level for status in levels] == [b"\x00", b"\x01", b"\x02"]
    assert [status.message for status in levels] == ["OK", "w", "e"]
