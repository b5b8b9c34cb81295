"""An episode at a glance: joints and commands over time, and a contact sheet of its cameras."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.image import message_to_cvimage

from emma.bags.info import IMAGE_TYPES
from emma.bags.reader import Bag, BagTopicInfo
from emma.bags.timeline import latest
from emma.errors import EmmaError
from emma.robots.spec import RobotSpec

JOINT_STATE = "sensor_msgs/msg/JointState"
TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
NUMBERS = "std_msgs/msg/Float64MultiArray"
# Pixels per picture of a contact sheet, and the darkest to brightest of a depth picture.
TILE_WIDTH = 192
DEPTH_PERCENTILES = (2, 98)


def plot_joints(bag: Bag, picture: Path, robot: RobotSpec | None = None) -> None:
    """Draw every joint's position (line) and command (steps) over the bag's seconds. EmmaError if there is none.

    Commands that are bare numbers (Float64MultiArray) are drawn where `robot` says whose they are.
    """
    from matplotlib.figure import Figure

    curves: dict[str, list[tuple[str, bool, np.ndarray, np.ndarray]]] = {}
    groups = {group.recorded_topic: group for group in robot.command_groups} if robot is not None else {}
    for topic in bag.topics.values():
        command = topic.type in (TRAJECTORY, NUMBERS) or topic.name in groups
        names = groups[topic.name].joints if topic.name in groups else ()
        if topic.type in (JOINT_STATE, TRAJECTORY) or (topic.type == NUMBERS and names):
            for joint, (times, values) in _positions(bag, topic, names).items():
                curves.setdefault(joint, []).append((topic.name, command, times, values))
    if not curves:
        raise EmmaError(
            f"{bag.path.name} has no joints to draw",
            found=", ".join(bag.topics) or "no topics",
            expected=f"a topic of type {JOINT_STATE} or {TRAJECTORY}",
        )
    figure = Figure(figsize=(10, 1.6 * len(curves) + 0.8), layout="constrained")
    axes = figure.subplots(len(curves), sharex=True, squeeze=False)[:, 0]
    for axis, (joint, drawn) in zip(axes, curves.items(), strict=True):
        for name, command, times, values in drawn:
            style = {"color": "tab:orange", "linewidth": 1.0, "drawstyle": "steps-post"} if command else {}
            axis.plot(times, values, label=name, zorder=1 if command else 2, **style)
        axis.set_ylabel(joint)
        axis.grid(alpha=0.3)
    axes[0].legend(loc="upper right", fontsize="small")
    axes[0].set_title(bag.path.name)
    axes[-1].set_xlabel("s")
    figure.savefig(picture, dpi=110)


def contact_sheet(bag: Bag, picture: Path, columns: int = 8) -> None:
    """Draw every camera at `columns` moments, one row a camera, colour and depth. EmmaError if there is none."""
    if columns < 1:
        raise EmmaError("bad value for columns", found=columns, expected="1 or more")
    rows = []
    cameras = [t for t in bag.topics.values() if t.type in IMAGE_TYPES and len(bag.index.of(t.number))]
    for topic in cameras:
        tiles = [_tile(bag.message(position), topic.name) for position in _moments(bag, topic, columns)]
        height = max(tile.shape[0] for tile in tiles)
        row = np.hstack([cv2.copyMakeBorder(t, 0, height - t.shape[0], 0, 2, cv2.BORDER_CONSTANT) for t in tiles])
        title = np.full((18, row.shape[1], 3), 255, np.uint8)
        cv2.putText(title, topic.name, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
        rows += [title, row]
    if not rows:
        raise EmmaError(
            f"{bag.path.name} has no images",
            found=", ".join(bag.topics) or "no topics",
            expected=f"a topic of type {' or '.join(IMAGE_TYPES)}",
        )
    ok, png = cv2.imencode(".png", cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
    if not ok:
        raise EmmaError(f"cannot draw {picture}", found=f"{len(rows)} rows", expected="an image")
    picture.write_bytes(bytes(png))


def _positions(bag: Bag, topic: BagTopicInfo, names: Sequence[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Joint -> (seconds since the bag began, positions)."""
    samples: dict[str, list[tuple[float, float]]] = {}
    start = int(bag.index.stamp_ns.min())
    for position in bag.index.of(topic.number):
        seconds = (int(bag.index.stamp_ns[position]) - start) / 1e9
        for joint, value in _named_positions(bag.message(int(position)), names):
            samples.setdefault(joint, []).append((seconds, value))
    return {joint: tuple(np.array(sorted(rows)).T) for joint, rows in samples.items()}


def _named_positions(message: Any, names: Sequence[str]) -> Iterator[tuple[str, float]]:
    """names: of the numbers in a message that has none."""
    if hasattr(message, "data"):
        yield from zip(names, message.data, strict=False)
    elif hasattr(message, "joint_names"):
        if len(message.points):
            yield from zip(message.joint_names, message.points[0].positions, strict=False)
    else:
        yield from zip(message.name, message.position, strict=False)


def _moments(bag: Bag, topic: BagTopicInfo, count: int) -> list[int]:
    """Positions of the messages shown: the same moments of the bag for every camera, as far as it has images then."""
    index = bag.index
    at = index.of(topic.number)
    at = at[np.argsort(index.stamp_ns[at], kind="stable")]
    stamps = index.stamp_ns[at]
    every = index.stamp_ns
    times = np.linspace(int(every.min()), int(every.max()), count)
    return [int(at[max(0, i)]) for i in latest(stamps, times)]


def _tile(message: Any, topic: str) -> np.ndarray:
    """One message as a small RGB picture; depth in false colours."""
    try:
        image = np.asarray(message_to_cvimage(message))
        if image.dtype == np.uint8:
            # Mono stays grey; every colour encoding becomes RGB.
            image = np.asarray(message_to_cvimage(message, "rgb8"))
    except Exception as error:  # the decoder raises whatever the broken bytes provoke
        raise EmmaError(
            f"cannot decode an image on {topic}", found=f"{type(error).__name__}: {error}", expected="an image"
        ) from None
    if image.dtype != np.uint8:
        image = _false_colours(image)
    height = max(1, round(image.shape[0] * TILE_WIDTH / image.shape[1]))
    return cv2.resize(image, (TILE_WIDTH, height), interpolation=cv2.INTER_AREA)


def _false_colours(depth: np.ndarray) -> np.ndarray:
    metres = np.nan_to_num(depth.astype(np.float32), posinf=0.0, neginf=0.0)
    valid = metres[metres > 0]
    low, high = np.percentile(valid, DEPTH_PERCENTILES) if len(valid) else (0.0, 1.0)
    level = np.clip((metres - low) / max(high - low, 1e-6), 0, 1) * 255
    colours = cv2.cvtColor(cv2.applyColorMap(level.astype(np.uint8), cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    colours[metres <= 0] = 0
    return colours
