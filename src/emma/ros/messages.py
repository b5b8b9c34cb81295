"""Arrays to ROS messages. The way back is `emma.messages`, which serves bags as well."""

import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration, Time
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Float64, Float64MultiArray, Header, String
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from emma.records import Record, encode
from emma.robots.joint_messages import encode_command, exact_motion
from emma.robots.spec import Camera, CommandGroup, RobotSpec

NS = 1_000_000_000


def time_message(stamp_ns: int) -> Time:
    return Time(sec=stamp_ns // NS, nanosec=stamp_ns % NS)


def header(stamp_ns: int, frame_id: str = "") -> Header:
    return Header(stamp=time_message(stamp_ns), frame_id=frame_id)


def color_image(pixels: np.ndarray, stamp_ns: int, frame_id: str) -> Image:
    """(H, W, 3) uint8 RGB as an `rgb8` Image."""
    return _image(pixels, "rgb8", stamp_ns, frame_id)


def depth_image(millimetres: np.ndarray, stamp_ns: int, frame_id: str) -> Image:
    """(H, W) uint16 mm as a `16UC1` Image (REP 118)."""
    return _image(millimetres.astype("<u2", copy=False), "16UC1", stamp_ns, frame_id)


def _image(pixels: np.ndarray, encoding: str, stamp_ns: int, frame_id: str) -> Image:
    # rclpy checks every element of bytes assigned to uint8[]; an array.array('B') is taken as it is.
    data = array.array("B")
    data.frombytes(pixels.tobytes())
    height, width = pixels.shape[:2]
    return Image(
        header=header(stamp_ns, frame_id),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=pixels.nbytes // height,
        data=data,
    )


def camera_info(camera: Camera, matrix: np.ndarray, stamp_ns: int) -> CameraInfo:
    """CameraInfo of an undistorted pinhole camera with the (3, 3) matrix `matrix` in pixels."""
    k = np.asarray(matrix, dtype=np.float64)
    projection = np.hstack([k, np.zeros((3, 1))])
    return CameraInfo(
        header=header(stamp_ns, camera.frame_id),
        height=camera.height,
        width=camera.width,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=k.ravel().tolist(),
        r=np.eye(3).ravel().tolist(),
        p=projection.ravel().tolist(),
    )


def _duration(ns: int) -> Duration:
    return Duration(sec=ns // NS, nanosec=ns % NS)


def joint_state(
    names: Sequence[str], position: np.ndarray, stamp_ns: int, velocity: np.ndarray | None = None
) -> JointState:
    """JointState with (J,) positions and, where known, velocities, in rad and m, and per second."""
    return JointState(
        header=header(stamp_ns),
        name=list(names),
        position=position.tolist(),
        velocity=[] if velocity is None else velocity.tolist(),
    )


def chunk(spec: RobotSpec, positions: np.ndarray, stamp_ns: int, fps: float) -> JointTrajectory:
    """(K, J) positions `1 / fps` s apart, the first of them at `stamp_ns`."""
    points = [
        JointTrajectoryPoint(positions=row, time_from_start=_duration(round(i / fps * NS)))
        for i, row in enumerate(positions.tolist())
    ]
    return JointTrajectory(header=header(stamp_ns), joint_names=list(spec.joint_names), points=points)


def command(
    spec: RobotSpec, position: np.ndarray, stamp_ns: int, group: CommandGroup | None = None
) -> JointTrajectory | Float64MultiArray | JointState | Float64:
    """(J,) joint targets as the message of a command group, stamped where it has a header: the moment they were sent.

    group: None for the robot's first one.
    """
    group = group or spec.command_groups[0]
    values = encode_command(position, spec, group)
    names = [spec.message_name(name) for name in group.joints]
    if group.kind in ("joint_state", "gripper_action"):
        return joint_state(names, values, stamp_ns)
    if group.kind == "position":
        return Float64(data=float(values[0]))
    if group.kind == "forward_position":
        return Float64MultiArray(data=values.tolist())
    period_ns = round(NS / (group.rate_hz or spec.control_rate_hz))
    point = JointTrajectoryPoint(positions=values.tolist(), time_from_start=_duration(period_ns))
    return JointTrajectory(header=header(stamp_ns), joint_names=names, points=[point])


def exact_command(message: JointTrajectory | Float64MultiArray | JointState | Float64, spec: RobotSpec) -> np.ndarray:
    """(G,) float64: what `emma.messages.decode_command` gives, without rounding to single. Raises EmmaError."""
    return np.asarray(exact_motion(message, spec).positions[0])


COMMAND_TYPES = {
    "joint_trajectory": JointTrajectory,
    "forward_position": Float64MultiArray,
    "joint_state": JointState,
    "position": Float64,
    "gripper_action": JointState,
}


def text(record: Record) -> String:
    """A record as JSON text, for `emma.records.Topic`."""
    return String(data=encode(record))


def status(name: str, hardware: str, values: Mapping[str, Any], *, warn: str = "", error: str = "") -> DiagnosticStatus:
    """One line for /diagnostics: an error outranks a warning, neither means OK."""
    level = DiagnosticStatus.ERROR if error else DiagnosticStatus.WARN if warn else DiagnosticStatus.OK
    pairs = [KeyValue(key=str(key), value=_text(value)) for key, value in values.items()]
    return DiagnosticStatus(level=level, name=name, message=error or warn or "OK", hardware_id=hardware, values=pairs)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
