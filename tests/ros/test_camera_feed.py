"""A live camera and its joints, over a real graph."""

from dataclasses import replace

import numpy as np
import pytest
from sensor_msgs.msg import Image, JointState

from emma.errors import EmmaError
from emma.messages import decode_image
from emma.robots.spec import load_robot
from emma.ros import messages, qos
from emma.ros.camera_feed import CameraFeed
from emma.ros.client import RosClient
from emma.ros.domain import own_domain


def test_a_picture_comes_with_the_joints_of_its_moment(eventually) -> None:
    spec = load_robot("desk_arm")
    camera = spec.camera("top")
    names = ("j1", "j2")
    with own_domain(), RosClient("driver") as driver, CameraFeed(spec, camera, names) as feed:
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
        message, _, joints = feed.picture(30.0)
        assert decode_image(message, camera)[0, 0].tolist() == [7, 7, 7]
        timer.cancel()
        stamp_s = (message.header.stamp.sec % 1000) + message.header.stamp.nanosec / 1e9
        assert joints == pytest.approx([1.0, stamp_s * 5], abs=1e-3)
        silent = CameraFeed(spec, replace(camera, image_topic="/nothing", info_topic=None))
        with silent, pytest.raises(EmmaError, match="no message on /nothing"):
            silent.picture(0.2)
