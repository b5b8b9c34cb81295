"""ROS messages to arrays. Works alike on rclpy messages and on messages that `rosbags` read from a bag."""

import struct
from typing import Any

import cv2
import numpy as np
from rosbags.image import message_to_cvimage

from emma.errors import EmmaError
from emma.robots.joint_messages import (
    CommandedMotion,
    check_plausible,
    decode_command,
    decode_motion,
    decode_state,
    merge_states,
    named_positions,
)
from emma.robots.spec import Camera

__all__ = [
    "CommandedMotion",
    "check_plausible",
    "decode_command",
    "decode_depth",
    "decode_image",
    "decode_motion",
    "decode_state",
    "merge_states",
    "named_positions",
    "stamp_ns",
]

# ROS REP 118: depth is 16UC1 in millimetres (0 = no reading) or 32FC1 in metres (NaN = no reading).
DEPTH_ENCODINGS = ("16UC1", "mono16", "32FC1")
DEPTH_MAX_MM = 65535
# compressed_depth_image_transport: a format enum and the two quantisation parameters of 32FC1 stand before the PNG.
DEPTH_HEAD = struct.Struct("<iff")
PNG_MAGIC = b"\x89PNG"


def stamp_ns(message: Any) -> int | None:
    """The header stamp in nanoseconds, or None for a message without one: no header, or time 0 in it.

    Drivers that stamp nothing leave 0, and in a JointTrajectory it means "from now on": both count from receipt.
    """
    header = getattr(message, "header", None)
    if header is None:
        return None
    sec: int = header.stamp.sec
    nanosec: int = header.stamp.nanosec
    return sec * 1_000_000_000 + nanosec or None


def decode_image(message: Any, camera: Camera) -> np.ndarray:
    """(H, W, 3) uint8 RGB from an Image or CompressedImage of any common encoding. Raises EmmaError."""
    try:
        if hasattr(message, "format"):
            image = _decode_compressed(message)
        else:
            image = _to_rgb8(_packed(message, camera.image_topic))
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


def _decode_compressed(message: Any) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a JPEG or PNG, grey ones included. Like cv_bridge it does not turn them by EXIF."""
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    decoded = cv2.imdecode(np.frombuffer(bytes(message.data), np.uint8), flags)
    if decoded is None:
        raise ValueError(f"{len(message.data)} bytes that are no image of format {message.format!r}")
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))


def _to_rgb8(message: Any) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an Image."""
    if message.encoding.endswith("16"):
        # cv_bridge rounds when it scales 16 bits to 8, and the library below cuts off.
        wide = np.asarray(message_to_cvimage(message, "rgb16"))
        return np.rint(wide * np.float32(255.0 / 65535.0)).astype(np.uint8)
    return np.asarray(message_to_cvimage(message, "rgb8"))


def decode_depth(message: Any, camera: Camera) -> np.ndarray:
    """(H, W) uint16 depth in millimetres, 0 where there is no reading. Raises EmmaError.

    From an Image (16UC1 in mm, 32FC1 in m) or a CompressedImage with a PNG of either (compressedDepth).
    """
    topic = camera.depth_topic or camera.image_topic
    if hasattr(message, "format"):
        depth = _compressed_depth(message, topic)
    else:
        if message.encoding not in DEPTH_ENCODINGS:
            raise EmmaError(
                f"cannot decode depth on {topic}",
                found=message.encoding,
                expected=f"one of {', '.join(DEPTH_ENCODINGS)}",
            )
        try:
            depth = np.asarray(message_to_cvimage(_packed(message, topic)))
        except (ValueError, TypeError) as error:
            raise EmmaError(
                f"cannot decode depth on {topic}", found=str(error), expected=f"{message.encoding} data"
            ) from None
    if depth.dtype != np.uint16:
        metres = np.nan_to_num(depth, nan=0.0, posinf=0.0, neginf=0.0)
        depth = np.clip(np.rint(metres * 1000.0), 0, DEPTH_MAX_MM).astype(np.uint16)
    _check_size(depth, camera, topic)
    return depth


def _compressed_depth(message: Any, topic: str) -> np.ndarray:
    """(H, W) uint16 mm or float32 m of a PNG, with or without the head of compressed_depth_image_transport.

    That package's `codec.cpp` stores 32FC1 as inverse depth: metres = A / (value - B), 0 for no reading.
    """
    kind, data = str(message.format), bytes(message.data)
    encoding = kind.partition(";")[0].strip()
    head, png = (data[: DEPTH_HEAD.size], data[DEPTH_HEAD.size :]) if data[:4] != PNG_MAGIC else (b"", data)
    image = None
    if png[:4] == PNG_MAGIC:
        image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 2 or image.dtype != np.uint16 or encoding not in DEPTH_ENCODINGS:
        raise EmmaError(
            f"cannot decode depth on {topic}",
            found=f"{kind}, {len(data)} bytes{'' if png[:4] == PNG_MAGIC else ' that are no PNG'}",
            expected=f"a 16-bit PNG of {' or '.join(DEPTH_ENCODINGS)}",
            fix="set the driver's compressedDepth format to png (rvl is not read), or record the raw depth topic",
        )
    if encoding != "32FC1":
        return np.asarray(image)
    _, a, b = DEPTH_HEAD.unpack(head) if head else (0, 0.0, 0.0)
    if not head or not np.isfinite([a, b]).all() or a <= 0:
        raise EmmaError(
            f"cannot decode depth on {topic}",
            found=f"{kind} with quantisation {a:g}, {b:g}",
            expected="the parameters of compressedDepth before the PNG",
            fix="record the raw depth topic",
        )
    inverse = image.astype(np.float64) - b
    return np.divide(a, inverse, out=np.full(image.shape, np.nan), where=(image > 0) & (inverse > 0))


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
    if row is not None and row > step:
        raise EmmaError(f"image rows too short on {topic}", found=f"step {step}", expected=f"{row} bytes a row")
    if size > step * height:
        raise EmmaError(f"bytes too many in an image on {topic}", found=size, expected=f"{step} x {height} bytes")
    if row is None or row == step:
        return message
    rows = np.frombuffer(message.data, np.uint8)[: step * height].reshape(height, step)
    return _Rows(message, np.ascontiguousarray(rows[:, :row]).reshape(-1))


def _row_bytes(message: Any) -> int | None:
    from rosbags.image.image import ImageFormatError, to_cvtype

    try:
        _, _, dtype, channels = to_cvtype(message.encoding)
    except ImageFormatError:
        return None
    return int(message.width) * channels * np.dtype(dtype).itemsize
