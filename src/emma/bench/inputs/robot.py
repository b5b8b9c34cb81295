"""A small robot and what its drivers publish, for bags made on purpose: joints a and b, one camera."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from emma.bags.message_definitions import typestore
from emma.robots.spec import Camera, Command, Joint, RobotSpec

NS = 1_000_000_000
START_NS = 1_700_000_000 * NS
WIDTH, HEIGHT = 16, 12
STATE, COMMAND, IMAGE = "/joint_states", "/cmd", "/top/image"
JOINT_STATE, TRAJECTORY = "sensor_msgs/msg/JointState", "trajectory_msgs/msg/JointTrajectory"
RAW, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
NAMES = ("a", "b")
# Delays from stamp to receipt.
STATE_DELAY_NS, COMMAND_DELAY_NS, IMAGE_DELAY_NS = 400_000, 900_000, 15_000_000

Message = tuple[str, str, int, bytes]


def robot(names: Sequence[str] = NAMES, kind: str = "joint_trajectory", **changes: Any) -> RobotSpec:
    """Its description; joints within +-3 rad, dataset at 10 fps."""
    spec = RobotSpec(
        name="bench_arm",
        joints=tuple(Joint(name=n, unit="rad", lower=-3.0, upper=3.0, velocity=2.0, acceleration=9.0) for n in names),
        cameras=(Camera(name="top", image_topic=IMAGE, width=WIDTH, height=HEIGHT, rate_hz=25),),
        state_topic=STATE,
        command=Command(topic=COMMAND, kind=kind),
        control_rate_hz=50,
        fps=10,
        folder=Path("bench_arm"),
    )
    return replace(spec, **changes)


def state_at(seconds: float, joints: int = 2) -> np.ndarray:
    """(J,) where the joints are after that time."""
    return np.sin(0.7 * seconds + np.arange(joints))


def target_at(seconds: float, joints: int = 2) -> np.ndarray:
    """(J,) where the command sends them."""
    return np.sin(0.7 * (seconds + 0.1) + np.arange(joints))


def new(kind: str, **values: Any) -> Any:
    """A message of a standard type."""
    return typestore().types[kind](**values)


def packed(message: Any) -> bytes:
    """A message as it is sent."""
    return bytes(typestore().serialize_cdr(message, message.__msgtype__))


def header(stamp_ns: int) -> Any:
    stamp = new("builtin_interfaces/msg/Time", sec=stamp_ns // NS, nanosec=stamp_ns % NS)
    return new("std_msgs/msg/Header", stamp=stamp, frame_id="")


def joint_state(stamp_ns: int, names: Sequence[str], positions: Sequence[float] | np.ndarray) -> bytes:
    empty = np.zeros(0)
    return packed(
        new(
            JOINT_STATE,
            header=header(stamp_ns),
            name=list(names),
            position=np.asarray(positions, np.float64),
            velocity=empty,
            effort=empty,
        )
    )


def trajectory(
    stamp_ns: int, names: Sequence[str], points: Sequence[tuple[float, Sequence[float] | np.ndarray]]
) -> bytes:
    """points: (time_from_start in s, positions)."""
    empty = np.zeros(0)
    return packed(
        new(
            TRAJECTORY,
            header=header(stamp_ns),
            joint_names=list(names),
            points=[
                new(
                    "trajectory_msgs/msg/JointTrajectoryPoint",
                    positions=np.asarray(positions, np.float64),
                    velocities=empty,
                    accelerations=empty,
                    effort=empty,
                    time_from_start=new(
                        "builtin_interfaces/msg/Duration", sec=int(after), nanosec=round(after % 1 * NS)
                    ),
                )
                for after, positions in points
            ],
        )
    )


def image(stamp_ns: int, number: int, encoding: str = "rgb8") -> bytes:
    """Noise that tells its number."""
    rng = np.random.default_rng(number)
    if encoding == "rgb8":
        pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    else:
        pixels = rng.integers(1, 5000, (HEIGHT, WIDTH), np.uint16)
    return raw_image(stamp_ns, pixels, encoding)


def raw_image(stamp_ns: int, pixels: np.ndarray, encoding: str = "rgb8") -> bytes:
    """pixels: (H, W) or (H, W, 3), of the element type that the encoding names."""
    return packed(
        new(
            RAW,
            header=header(stamp_ns),
            height=pixels.shape[0],
            width=pixels.shape[1],
            encoding=encoding,
            is_bigendian=0,
            step=pixels.nbytes // pixels.shape[0],
            data=pixels.reshape(-1).view(np.uint8),
        )
    )


def restamped(sent: bytes, stamp_ns: int) -> bytes:
    """An image message with another stamp."""
    message: Any = typestore().deserialize_cdr(sent, RAW)
    return packed(replace(message, header=header(stamp_ns)))


def longer(sent: bytes) -> bytes:
    """An image message with one row more than its height tells."""
    message: Any = typestore().deserialize_cdr(sent, RAW)
    return packed(replace(message, data=np.concatenate([message.data, message.data[: message.step]])))


def drive(
    seconds: float = 2.0,
    *,
    names: Sequence[str] = NAMES,
    start_ns: int = START_NS,
    stamp: Callable[[str, int], int] = lambda topic, ns: ns,
    keep: Callable[[str, float], bool] = lambda topic, t: True,
    command: bool = True,
    state: bool = True,
) -> list[Message]:
    """What a recorder receives in `seconds`, in the order of receipt: state and command at 50 Hz, images at 25 Hz.

    stamp: the stamp in a topic's header, from the true one; keep: whether the message of that time is sent at all.
    """
    sent: list[Message] = []
    for i in range(int(seconds * 50) + 1):
        true_ns, t = start_ns + i * NS // 50, i / 50
        if state and keep(STATE, t):
            data = joint_state(stamp(STATE, true_ns), names, state_at(t, len(names)))
            sent.append((STATE, JOINT_STATE, true_ns + STATE_DELAY_NS, data))
        if command and keep(COMMAND, t):
            data = trajectory(stamp(COMMAND, true_ns), names, [(0.02, target_at(t, len(names)))])
            sent.append((COMMAND, TRAJECTORY, true_ns + COMMAND_DELAY_NS, data))
        if i % 2 == 0 and keep(IMAGE, t):
            sent.append((IMAGE, RAW, true_ns + IMAGE_DELAY_NS, image(stamp(IMAGE, true_ns), i // 2)))
    return sorted(sent, key=lambda message: message[2])
