"""ROS bags: hand landmarks as `geometry_msgs/PoseArray`, the camera's pose, its images and its calibration.

One folder a recording: the bag, and `hands.yaml` beside its files, which says which topic is what.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError
from rosbags.image import message_to_cvimage
from scipy.spatial.transform import Rotation, Slerp

from emma.bags.reader import Bag
from emma.errors import EmmaError
from emma.human.hand_frame import POINTS, SIDES
from emma.human.recording import Recording

FORMAT, MAP = "bag", "hands.yaml"
# OpenXR's 26 joints begin with the palm, and every finger but the thumb has a metacarpal.
OPENXR = (1, 2, 3, 4, 5, *(first + i for first in (7, 12, 17, 22) for i in range(4)))
OPENXR_JOINTS = 26
# Axes of a camera body as ROS has it (x forward, y left, z up), seen from the optical frame.
BODY_FROM_OPTICAL = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
AXES, FRAMES = ("optical", "body"), ("world", "camera")
# A hand's message counts for a moment of the other hand's if it is no further away, s.
TOGETHER_S = 0.05


@dataclass(frozen=True, kw_only=True)
class BagMap:
    """hands: side -> topic of PoseArrays with 21 landmarks (`hand_frame.POINTS`) or OpenXR's 26; frame: what they are
    in; image, camera_info: topics; camera_pose: topic of PoseStamped or PoseWithCovarianceStamped, the camera in the
    world; camera_axes: optical (x right, y down, z forward) or body (x forward, y left, z up)."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    hands: dict[str, str]
    image: str
    camera_info: str
    camera_pose: str
    instruction: str = ""
    frame: str = "world"
    camera_axes: str = "optical"

    def __post_init__(self) -> None:
        for key, values, allowed in (
            ("hands", tuple(self.hands), SIDES),
            ("frame", (self.frame,), FRAMES),
            ("camera_axes", (self.camera_axes,), AXES),
        ):
            if not values or not set(values) <= set(allowed):
                raise ValueError(f"{key}: {', '.join(values) or 'none'}, allowed are {', '.join(allowed)}")


def read_bag(folder: Path) -> Recording:
    """Raises EmmaError for a bad map, topics that are missing or empty, and other numbers of landmarks."""
    topics = _load_map(folder / MAP)
    with Bag(folder) as bag:
        at, camera = _camera(bag, topics)
        tracked = {side: _hand(bag, topic) for side, topic in topics.hands.items()}
        matrix, size = _calibration(bag, topics.camera_info)
        frames = np.array([stamp for stamp, _ in _positions(bag, topics.image)]) / 1e9
        files = (folder / MAP, *bag.files)
    times = next(iter(tracked.values()))[0]
    times = times[(times >= at[0]) & (times <= at[-1])]
    if len(times) < 2:
        raise EmmaError(
            f"{folder}: hands and camera pose share no time",
            found=f"{len(times)} hand messages while the camera's pose is known",
            expected="2 or more",
            fix="record both at once, with stamps of one clock",
        )
    world_from_camera = np.tile(np.eye(4), (len(times), 1, 1))
    world_from_camera[:, :3, :3] = Slerp(at, Rotation.from_matrix(camera[:, :3, :3]))(times).as_matrix()
    world_from_camera[:, :3, 3] = np.stack([np.interp(times, at, camera[:, i, 3]) for i in range(3)], axis=1)
    points = {side: _at(times, *track) for side, track in tracked.items()}
    if topics.frame == "camera":
        turn, place = np.swapaxes(world_from_camera[:, :3, :3], 1, 2), world_from_camera[:, None, :3, 3]
        points = {side: values @ turn + place for side, values in points.items()}
    start = times[0]
    return Recording(
        format=FORMAT,
        files=files,
        instruction=topics.instruction,
        times_s=times - start,
        points=points,
        camera=world_from_camera,
        intrinsics=matrix,
        video=folder,
        video_size=size,
        video_times_s=frames - start,
        image_topic=topics.image,
    )


def bag_frames(folder: Path, topic: str, indices: np.ndarray, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 RGB of images `indices` of a topic, which do not decrease, scaled to `size` (width, height)."""
    with Bag(folder) as bag:
        positions = [position for _, position in _positions(bag, topic)]
        last = -1
        image: np.ndarray = np.zeros(0)
        for index in indices:
            if index != last:
                last = int(index)
                image = cv2.resize(_pixels(bag, positions[last], topic), size, interpolation=cv2.INTER_AREA)
            yield image


def _load_map(path: Path) -> BagMap:
    try:
        loaded: BagMap = TypeAdapter(BagMap).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the map"
        raise EmmaError(f"{path}: bad value for {where}", found=first["input"], expected=first["msg"]) from None
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise EmmaError(f"{path} cannot be read", found=str(error).replace("\n", " "), expected="YAML") from None
    return loaded


def _positions(bag: Bag, topic: str) -> list[tuple[int, int]]:
    """(stamp in ns, position) of a topic's messages by their stamps. Raises EmmaError if there are fewer than two."""
    if topic not in bag.topics:
        raise EmmaError(
            f"{bag.path} has no topic {topic}",
            found=", ".join(sorted(bag.topics)) or "no topics",
            expected=topic,
            fix=f"correct {MAP}",
        )
    index = bag.index
    mine = np.flatnonzero(index.topic == bag.topics[topic].number)
    stamps = np.where(index.stamped[mine], index.stamp_ns[mine], index.log_ns[mine]).astype(np.int64)
    order = np.argsort(stamps, kind="stable")
    # The same stamp twice is the same moment.
    keep = order[np.flatnonzero(np.diff(stamps[order], prepend=-1) > 0)]
    if len(keep) < 2:
        raise EmmaError(f"{bag.path}: too little on {topic}", found=f"{len(keep)} messages", expected="2 or more")
    return list(zip(stamps[keep].tolist(), mine[keep].tolist(), strict=True))


def _hand(bag: Bag, topic: str) -> tuple[np.ndarray, np.ndarray]:
    """Times (M,) s and points (M, 21, 3); a message without poses is a hand that was not seen."""
    times, rows = [], []
    for stamp, position in _positions(bag, topic):
        message = bag.message(position)
        poses = getattr(message, "poses", None)
        count = None if poses is None else len(poses)
        if count not in (0, len(POINTS), OPENXR_JOINTS):
            raise EmmaError(
                f"{topic} has no hand landmarks",
                found=bag.topics[topic].type if count is None else f"{count} poses",
                expected=f"PoseArray with {len(POINTS)} poses or OpenXR's {OPENXR_JOINTS}",
            )
        every = np.array([[p.position.x, p.position.y, p.position.z] for p in poses or ()])
        chosen = np.full((len(POINTS), 3), np.nan) if count == 0 else every
        rows.append(chosen[list(OPENXR)] if count == OPENXR_JOINTS else chosen)
        times.append(stamp / 1e9)
    return np.array(times), np.array(rows)


def _at(wanted: np.ndarray, times: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N, 21, 3) the nearest landmarks to each moment, NaN where there are none near it."""
    after = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1)
    nearest = np.where(wanted - times[after - 1] < times[after] - wanted, after - 1, after)
    found = points[nearest].copy()
    found[np.abs(times[nearest] - wanted) > TOGETHER_S] = np.nan
    return found


def _camera(bag: Bag, topics: BagMap) -> tuple[np.ndarray, np.ndarray]:
    """Times (M,) s and world_from_camera (M, 4, 4) in OpenCV axes."""
    times, poses = [], []
    for stamp, position in _positions(bag, topics.camera_pose):
        pose = bag.message(position).pose
        # PoseWithCovarianceStamped wraps it once more.
        pose = getattr(pose, "pose", pose)
        q = np.array([pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w])
        if not abs(np.linalg.norm(q) - 1) < 1e-2:
            raise EmmaError(
                f"{topics.camera_pose}: no camera pose", found=f"quaternion {q.tolist()}", expected="one of length 1"
            )
        matrix = np.eye(4)
        matrix[:3, :3] = Rotation.from_quat(q).as_matrix()
        matrix[:3, 3] = [pose.position.x, pose.position.y, pose.position.z]
        poses.append(matrix @ BODY_FROM_OPTICAL if topics.camera_axes == "body" else matrix)
        times.append(stamp / 1e9)
    return np.array(times), np.array(poses)


def _calibration(bag: Bag, topic: str) -> tuple[np.ndarray, tuple[int, int]]:
    info: Any = bag.message(_positions(bag, topic)[0][1])
    return np.asarray(info.k, np.float64).reshape(3, 3), (int(info.width), int(info.height))


def _pixels(bag: Bag, position: int, topic: str) -> np.ndarray:
    try:
        return np.asarray(message_to_cvimage(bag.message(position), "rgb8"))
    except EmmaError:
        raise
    except Exception as error:  # the decoder raises whatever the broken bytes provoke
        raise EmmaError(
            f"an image on {topic} cannot be decoded", found=f"{type(error).__name__}: {error}", expected="rgb8"
        ) from None
