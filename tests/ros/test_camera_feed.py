"""A live camera and its joints, over a real graph."""

from dataclasses import replace

import numpy as np
import pytest
from sensor_msgs.msg import Image, JointState

from emma.errors import EmmaError
from emma.messages import decode_depth, decode_image
from emma.robots.spec import load_robot
from emma.ros import messages, qos
from emma.ros.camera_feed import CameraFeed
from emma.ros.client import RosClient
from emma.ros.domain import own_domain


def test_a_picture_comes_with_the_joints_of_its_moment(eventually) -> None:
    spec = load_robot("desk_arm")
    camera = spec.camera("top")
    names = ("j1", "j2")
    with own_domain(), RosClient("driver") as driver, CameraFeed(spec, [camera], names) as feed:
        images = driver.node.create_publisher(Image, camera.image_topic, qos.SENSOR_OFFER)
        states = driver.node.create_publisher(JointState, spec.state_topic, qos.SENSOR_OFFER)
        eventually(lambda: images.get_subscription_count() and states.get_subscription_count(), "subscribed")
        pixels = np.full((camera.height, camera.width, 3), 7, np.uint8)

        def send() -> None:
            """A picture whose stamp lies between joint states that rise by 5 rad a second."""
            now = driver.node.get_clock().now().nanoseconds
            for i in range(5):
                place = (now % 10**12 + i * 20_000_000) / 1e9 * 5
                stamp = messages.header(now + i * 20_000_000)
                states.publish(JointState(header=stamp, name=["j2", "j1"], position=[place, 1.0]))
            images.publish(messages.color_image(pixels, now + 40_000_000, "top"))

        # Best effort: what is sent before both sides know each other is lost.
        timer = driver.node.create_timer(0.2, send)
        taken = feed.picture(30.0)
        message, joints = taken.image, taken.joints
        assert taken.camera == "top"
        assert decode_image(message, camera)[0, 0].tolist() == [7, 7, 7]
        timer.cancel()
        stamp_s = (message.header.stamp.sec % 1000) + message.header.stamp.nanosec / 1e9
        assert joints == pytest.approx([1.0, stamp_s * 5], abs=1e-3)
        silent = CameraFeed(spec, [replace(camera, image_topic="/nothing", info_topic=None)])
        with silent, pytest.raises(EmmaError, match="no message on /nothing"):
            silent.picture(0.2)


def test_cameras_take_turns_and_a_silent_one_is_named(eventually) -> None:
    spec = load_robot("desk_arm")
    cameras = [spec.camera("top"), spec.camera("front")]
    with own_domain(), RosClient("driver") as driver, CameraFeed(spec, cameras) as feed:
        publishers = {c.name: driver.node.create_publisher(Image, c.image_topic, qos.SENSOR_OFFER) for c in cameras}
        eventually(lambda: all(p.get_subscription_count() for p in publishers.values()), "subscribed")
        speaking = set(publishers)

        def send() -> None:
            now = driver.node.get_clock().now().nanoseconds
            for camera in cameras:
                if camera.name in speaking:
                    pixels = np.zeros((camera.height, camera.width, 3), np.uint8)
                    publishers[camera.name].publish(messages.color_image(pixels, now, camera.name))

        driver.node.create_timer(0.05, send)
        assert {feed.picture(30.0).camera for _ in range(4)} == {"top", "front"}
        speaking.remove("front")
        with pytest.raises(EmmaError, match="no message on /camera/front"):
            eventually(lambda: feed.picture(0.5) is None, "silence")
        assert feed.picture(30.0, ["top"]).camera == "top"


def test_a_picture_waits_for_the_depth_of_its_moment(eventually) -> None:
    spec = load_robot("desk_arm")
    camera = spec.camera("top")
    assert camera.depth_topic is not None
    with own_domain(), RosClient("driver") as driver, CameraFeed(spec, [camera], depth=True) as feed:
        images = driver.node.create_publisher(Image, camera.image_topic, qos.SENSOR_OFFER)
        depths = driver.node.create_publisher(Image, camera.depth_topic, qos.SENSOR_OFFER)
        eventually(lambda: images.get_subscription_count() and depths.get_subscription_count(), "subscribed")
        count = iter(range(1, 10_000))

        def send() -> None:
            """Depth comes after colour, and every second colour picture has none."""
            number, now = next(count), driver.node.get_clock().now().nanoseconds
            pixels = np.full((camera.height, camera.width, 3), number % 250, np.uint8)
            images.publish(messages.color_image(pixels, now, "top"))
            if number % 2:
                depth = np.full((camera.height, camera.width), number % 250, np.uint16)
                depths.publish(messages.depth_image(depth, now + 5_000_000, "top"))

        driver.node.create_timer(0.1, send)
        for _ in range(3):
            taken = feed.picture(30.0)
            number = int(decode_image(taken.image, camera)[0, 0, 0])
            assert number % 2 == 1
            assert (decode_depth(taken.depth, camera) == number).all()


def test_depth_of_a_camera_without_depth_is_refused() -> None:
    spec = load_robot("desk_arm")
    camera = replace(spec.camera("top"), depth_topic=None)
    with pytest.raises(EmmaError, match="has no depth"):
        CameraFeed(spec, [camera], depth=True)
