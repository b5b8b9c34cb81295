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
        start = driver.node.get_clock().now().nanoseconds
        for i in range(5):
            stamp = messages.header(start + i * 20_000_000)
            states.publish(JointState(header=stamp, name=["j2", "j1"], position=[0.1 * i, 1.0]))
        pixels = np.full((camera.height, camera.width, 3), 7, np.uint8)
        images.publish(messages.color_image(pixels, start + 40_000_000, "top"))
        message, _, joints = feed.picture(30.0)
        assert decode_image(message, camera)[0, 0].tolist() == [7, 7, 7]
        assert joints == pytest.approx([1.0, 0.2], abs=1e-6)
        silent = CameraFeed(spec, replace(camera, image_topic="/nothing", info_topic=None))
        with silent, pytest.raises(EmmaError, match="no message on /nothing"):
            silent.picture(0.2)
