"""ROS messages to arrays. Works alike on rclpy messages and on messages that `rosbags` read from a bag."""

from typing import Any

import numpy as np
from rosbags.image import message_to_cvimage

from emma.errors import EmmaError
from emma.robots.spec import Camera, RobotSpec

# ROS REP 118: depth is 16UC1 in millimetres (0 = no reading) or 32FC1 in metres (NaN = no reading).
DEPTH_ENCODINGS = ("16UC1", "mono16", "32FC1")
DEPTH_MAX_MM = 65535


def stamp_ns(message: Any) -> int | None:
    """The header stamp in nanoseconds, or None for a message without a header."""
    header = getattr(message, "header", None)
    if header is None:
        return None
    sec: int = header.stamp.sec
    nanosec: int = header.stamp.nanosec
    return sec * 1_000_000_000 + nanosec


def decode_image(message: Any, camera: Camera) -> np.ndarray:
    """(H, W, 3) uint8 RGB from an Image or CompressedImage of any common encoding. Raises EmmaError."""
    try:
        image = message_to_cvimage(_packed(message, camera.image_topic), "rgb8")
    except EmmaError:
        raise
    except Exception as error:  # the decoder raises whatever the broken bytes provoke
        raise EmmaError(
            f"cannot decode an image on {camera.image_topic}",
            found=f"{type(error).__name__}: {error}",
            expected="an encoding that converts to rgb8",
        ) from None
    _check_size(image, camera, camera.image_topic)
    return np.asarray(image)


def decode_depth(message: Any, camera: Camera) -> np.ndarray:
    """(H, W) uint16 depth in millimetres, 0 where there is no reading. Raises EmmaError."""
    topic = camera.depth_topic or camera.image_topic
    encoding = getattr(message, "encoding", "compressed")
    if encoding not in DEPTH_ENCODINGS:
        raise EmmaError(
            f"cannot decode depth on {topic}", found=encoding, expected=f"one of {', '.join(DEPTH_ENCODINGS)}"
        )
    try:
        depth = np.asarray(message_to_cvimage(_packed(message, topic)))
    except (ValueError, TypeError) as error:
        raise EmmaError(f"cannot decode depth on {topic}", found=str(error), expected=f"{encoding} data") from None
    if depth.dtype != np.uint16:
        metres = np.nan_to_num(depth, nan=0.0, posinf=0.0, neginf=0.0)
        depth = np.clip(np.rint(metres * 1000.0), 0, DEPTH_MAX_MM).astype(np.uint16)
    _check_size(depth, camera, topic)
    return depth


def decode_state(message: Any, spec: RobotSpec) -> np.ndarray:
    """(J,) float32 joint positions in the spec's order from a JointState, found by name. Raises EmmaError."""
    return _by_name(message.name, message.position, spec, spec.state_topic)


def decode_command(message: Any, spec: RobotSpec) -> np.ndarray:
    """(J,) float32 joint targets in the spec's order from a command message. Raises EmmaError."""
    topic = spec.command.topic
    if spec.command.kind == "joint_state":
        return _by_name(message.name, message.position, spec, topic)
    if spec.command.kind == "joint_trajectory":
        if len(message.points) == 0:
            raise EmmaError(f"empty trajectory on {topic}", found="0 points", expected="at least one point")
        return _by_name(message.joint_names, message.points[0].positions, spec, topic)
    values = np.asarray(message.data, dtype=np.float32)
    if len(values) != len(spec.joints):
        raise EmmaError(f"wrong command size on {topic}", found=len(values), expected=f"{len(spec.joints)} values")
    return _finite(values, spec, topic)


def _by_name(names: Any, positions: Any, spec: RobotSpec, topic: str) -> np.ndarray:
    where = {name: i for i, name in enumerate(names)}
    missing = [name for name in spec.joint_names if name not in where]
    if missing or len(positions) < len(where):
        raise EmmaError(
            f"joints missing on {topic}: {', '.join(missing) or 'positions'}",
            found=f"{len(positions)} positions for {', '.join(where) or 'no names'}",
            expected=f"a position for each of {', '.join(spec.joint_names)}",
            fix=f"check the driver, or the joint names in {spec.folder / 'robot.yaml'}",
        )
    return _finite(np.array([positions[where[name]] for name in spec.joint_names], dtype=np.float32), spec, topic)


def _finite(values: np.ndarray, spec: RobotSpec, topic: str) -> np.ndarray:
    if not np.isfinite(values).all():
        bad = [
            f"{name}={value}" for name, value in zip(spec.joint_names, values, strict=True) if not np.isfinite(value)
        ]
        raise EmmaError(f"non-finite joint positions on {topic}", found=", ".join(bad), expected="finite numbers")
    return values


def _check_size(image: np.ndarray, camera: Camera, topic: str) -> None:
    height, width = image.shape[:2]
    if (height, width) != (camera.height, camera.width):
        raise EmmaError(
            f"wrong image size on {topic}",
            found=f"{width} x {height}",
            expected=f"{camera.width} x {camera.height} (camera {camera.name})",
            fix="set the driver's resolution, or width and height in robot.yaml",
        )


class _Rows:
    """An image message whose rows were padded, with the padding taken out."""

    def __init__(self, message: Any, data: np.ndarray) -> None:
        self.header, self.encoding, self.is_bigendian = message.header, message.encoding, message.is_bigendian
        self.height, self.width, self.data = message.height, message.width, data


def _packed(message: Any, topic: str) -> Any:
    """The message itself, or a view without row padding: `step` may exceed the width (sensor_msgs/Image)."""
    if hasattr(message, "format") or message.height == 0:
        return message
    size, step, height = len(message.data), message.step, message.height
    if size < step * height or step == 0:
        raise EmmaError(f"image data cut short on {topic}", found=f"{size} bytes", expected=f"{step} x {height} bytes")
    row = _row_bytes(message)
    if row is None or row == step:
        return message
    if row > step:
        raise EmmaError(f"image rows too short on {topic}", found=f"step {step}", expected=f"{row} bytes a row")
    rows = np.frombuffer(message.data, np.uint8)[: step * height].reshape(height, step)
    return _Rows(message, np.ascontiguousarray(rows[:, :row]).reshape(-1))


def _row_bytes(message: Any) -> int | None:
    from rosbags.image.image import ImageFormatError, to_cvtype

    try:
        _, _, dtype, channels = to_cvtype(message.encoding)
    except ImageFormatError:
        return None
    return int(message.width) * channels * np.dtype(dtype).itemsize
