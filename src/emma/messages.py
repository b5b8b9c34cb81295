"""ROS messages to arrays. Works alike on rclpy messages and on messages that `rosbags` read from a bag."""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from rosbags.image import message_to_cvimage

from emma.errors import EmmaError
from emma.robots.spec import Camera, RobotSpec

# ROS REP 118: depth is 16UC1 in millimetres (0 = no reading) or 32FC1 in metres (NaN = no reading).
DEPTH_ENCODINGS = ("16UC1", "mono16", "32FC1")
DEPTH_MAX_MM = 65535
# compressed_depth_image_transport: a format enum and the two quantisation parameters of 32FC1 stand before the PNG.
DEPTH_HEAD = struct.Struct("<iff")
PNG_MAGIC = b"\x89PNG"
# A position further outside of the limits than their whole span is no position of that joint in that unit.
BEYOND_SPANS = 1.0


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


def decode_state(message: Any, spec: RobotSpec) -> np.ndarray:
    """(J,) float32 joint positions in the spec's order from a JointState, found by name. Raises EmmaError."""
    return merge_states([message], spec)[0]


def merge_states(newest_first: Iterable[Any], spec: RobotSpec) -> tuple[np.ndarray, list[int]]:
    """(J,) float32 joint positions of JointStates that may hold a part of the joints each, and which were needed.

    Each joint has its newest position; messages of other joints are passed over. Raises EmmaError for a joint without
    any position, or that a driver of all joints left out since.
    """
    found: dict[str, float] = {}
    wanted, latest = set(spec.joint_names), ""
    needed: list[int] = []
    for number, message in enumerate(newest_first):
        positions = named_positions(message.name, message.position, spec.state_topic)
        latest = latest or f"{len(message.position)} positions for {', '.join(message.name) or 'no names'}"
        if found and positions.keys() >= set(spec.joint_names):
            # One driver that sent all joints and now leaves some out: those are missing, not sent by another.
            break
        fresh = {name: value for name, value in positions.items() if name in wanted}
        if fresh:
            found |= fresh
            wanted -= fresh.keys()
            needed.append(number)
        if not wanted:
            break
    return _in_order(found, spec, spec.state_topic, latest), needed


@dataclass(frozen=True)
class CommandedMotion:
    """Where one command sends the joints: times_s (N,) from its start, positions (N, J).

    One point is a target, which stands for the command at once; several are a trajectory.
    """

    times_s: np.ndarray
    positions: np.ndarray

    def at(self, elapsed_s: float, start: np.ndarray | None = None) -> np.ndarray:
        """(J,) float32: the commanded positions after `elapsed_s`, linear between points, the last one after the end.

        start: (J,) where the joints were when the trajectory began, for the time before its first point.
        """
        times, positions = self.times_s, self.positions
        if len(times) == 1 or elapsed_s >= times[-1]:
            return np.asarray(positions[-1], np.float32)
        if start is not None and times[0] > 0:
            times, positions = np.insert(times, 0, 0.0), np.vstack([start, positions])
        return np.array([np.interp(elapsed_s, times, column) for column in positions.T], np.float32)

    @property
    def needs_start(self) -> bool:
        """Whether `at` depends on where the joints were: the first of several points lies after the start."""
        return len(self.times_s) > 1 and self.times_s[0] > 0


def decode_motion(message: Any, spec: RobotSpec) -> CommandedMotion:
    """The motion that a command message asks for, in the spec's joint order. Raises EmmaError."""
    topic = spec.command.topic
    if spec.command.kind == "joint_trajectory":
        return _trajectory(message, spec, topic)
    if spec.command.kind == "joint_state":
        found = named_positions(message.name, message.position, topic)
        target = _in_order(found, spec, topic, f"{len(message.position)} positions for {', '.join(message.name)}")
    else:
        target = np.asarray(message.data, dtype=np.float32)
        if len(target) != len(spec.joints):
            raise EmmaError(f"wrong command size on {topic}", found=len(target), expected=f"{len(spec.joints)} values")
        target = _finite(target, spec, topic)
    return CommandedMotion(np.zeros(1), target[None])


def decode_command(message: Any, spec: RobotSpec) -> np.ndarray:
    """(J,) float32 joint targets at the start of a command, in the spec's order. Raises EmmaError."""
    return np.asarray(decode_motion(message, spec).positions[0], np.float32)


def _trajectory(message: Any, spec: RobotSpec, topic: str) -> CommandedMotion:
    if len(message.points) == 0:
        raise EmmaError(f"empty trajectory on {topic}", found="0 points", expected="at least one point")
    names = message.joint_names
    points = [
        _in_order(
            named_positions(names, point.positions, topic),
            spec,
            topic,
            f"{len(point.positions)} positions for {', '.join(names) or 'no names'}",
        )
        for point in message.points
    ]
    times = np.array([p.time_from_start.sec + p.time_from_start.nanosec / 1e9 for p in message.points])
    if times[0] < 0 or (np.diff(times) <= 0).any():
        raise EmmaError(
            f"the points of a trajectory on {topic} do not follow each other",
            found=f"time_from_start {', '.join(f'{t:g}' for t in times[:8])} s",
            expected="times that grow from point to point",
        )
    return CommandedMotion(times, np.stack(points))


def named_positions(names: Sequence[str], positions: Any, topic: str) -> dict[str, float]:
    """Joint name -> position; empty for a message without positions. Raises EmmaError if they do not fit."""
    if len(positions) == 0:
        return {}
    if len(set(names)) != len(names) or len(positions) != len(names):
        raise EmmaError(
            f"joints missing on {topic}: names and positions do not fit",
            found=f"{len(positions)} positions for {', '.join(names) or 'no names'}",
            expected="one position for each name, each name once",
            fix="check the driver",
        )
    return dict(zip(names, positions, strict=True))


def _in_order(found: dict[str, float], spec: RobotSpec, topic: str, message: str) -> np.ndarray:
    missing = [name for name in spec.joint_names if name not in found]
    if missing:
        raise EmmaError(
            f"joints missing on {topic}: {', '.join(missing)}",
            found=message,
            expected=f"a position for each of {', '.join(spec.joint_names)}",
            fix=f"check the driver, or the joint names in {spec.folder / 'robot.yaml'}",
        )
    return _finite(np.array([found[name] for name in spec.joint_names], dtype=np.float32), spec, topic)


def check_plausible(values: np.ndarray, spec: RobotSpec, topic: str) -> None:
    """Raise EmmaError for joint values (J,) so far beyond the limits that they must be in another unit."""
    for joint, value in zip(spec.joints, values, strict=True):
        slack = BEYOND_SPANS * (joint.upper - joint.lower)
        if joint.lower - slack <= value <= joint.upper + slack:
            continue
        degrees = joint.unit == "rad" and joint.lower - slack <= np.deg2rad(value) <= joint.upper + slack
        raise EmmaError(
            f"joint {joint.name} on {topic} is far beyond its limits",
            found=f"{value:g} {joint.unit}{', which may be degrees' if degrees else ''}",
            expected=f"{joint.lower:g} to {joint.upper:g} {joint.unit}",
            fix=f"let the driver publish {joint.unit}, or correct the limits in {spec.folder / 'robot.yaml'}",
        )


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
