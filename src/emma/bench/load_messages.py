"""The load's messages as bytes, without ROS: one template per topic and picture, numbered when it is sent."""

from typing import Any

import numpy as np

from emma.bags.message_definitions import typestore
from emma.bench.load import DIGITS, NUMBER_AT, pictures
from emma.robots.spec import Camera, RobotSpec

FRAME_ID = "0" * DIGITS
# Where the rest of a message begins, behind its number.
FRAME_AT = NUMBER_AT + DIGITS
JPEG_QUALITY = 90


def templates(spec: RobotSpec) -> dict[str, list[bytes]]:
    """Topic -> serialised messages to send in turn. Images differ from one to the next, joints are at zero."""
    found = {}
    for i, camera in enumerate(spec.cameras):
        pairs = pictures(i)
        found[camera.image_topic] = [_image(color, "rgb8") for color, _ in pairs]
        if camera.depth_topic:
            found[camera.depth_topic] = [_image(depth, "16UC1") for _, depth in pairs]
    zero, empty, names = np.zeros(len(spec.joints)), np.array([]), list(spec.joint_names)
    state = _new(
        "sensor_msgs/msg/JointState", header=_header(), name=names, position=zero, velocity=empty, effort=empty
    )
    point = _new(
        "trajectory_msgs/msg/JointTrajectoryPoint",
        positions=zero,
        velocities=empty,
        accelerations=empty,
        effort=empty,
        time_from_start=_new("builtin_interfaces/msg/Duration", sec=0, nanosec=0),
    )
    command = _new("trajectory_msgs/msg/JointTrajectory", header=_header(), joint_names=names, points=[point])
    return found | {spec.state_topic: [_bytes(state)], spec.command.topic: [_bytes(command)]}


def camera_templates(seed: int, camera: Camera) -> list[bytes]:
    """Serialised colour images of 640 x 480 to send in turn, raw or JPEG as the camera's transport has it."""
    images = [color for color, _ in pictures(seed)]
    return [_image(image, "rgb8") if camera.transport == "raw" else _jpeg(image) for image in images]


def _jpeg(pixels: np.ndarray) -> bytes:
    import cv2

    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return _bytes(_new("sensor_msgs/msg/CompressedImage", header=_header(), format="jpeg", data=data.reshape(-1)))


def _image(pixels: np.ndarray, encoding: str) -> bytes:
    height, width = pixels.shape[:2]
    return _bytes(
        _new(
            "sensor_msgs/msg/Image",
            header=_header(),
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=0,
            step=pixels.nbytes // height,
            data=np.ascontiguousarray(pixels).reshape(-1).view(np.uint8),
        )
    )


def _header() -> Any:
    return _new("std_msgs/msg/Header", stamp=_new("builtin_interfaces/msg/Time", sec=0, nanosec=0), frame_id=FRAME_ID)


def _new(kind: str, **values: Any) -> Any:
    return typestore().types[kind](**values)


def _bytes(message: Any) -> bytes:
    return bytes(typestore().serialize_cdr(message, message.__msgtype__))
