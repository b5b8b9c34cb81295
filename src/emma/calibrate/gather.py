"""Views of the board from folders of pictures and from bags."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from emma.bags.reader import Bag
from emma.calibrate.board import Board
from emma.calibrate.detect import Corners, Detector, as_gray, explain
from emma.calibrate.joint_reader import GAP_S, JointReader
from emma.calibrate.joint_track import Track
from emma.calibrate.motion import View
from emma.errors import EmmaError
from emma.messages import decode_depth, decode_image
from emma.robots.spec import Camera, RobotSpec

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
JOINTS = "joints.csv"
DEPTH = "depth"
# Pictures of colour and depth this close are of one moment, s: half a period at 25 Hz.
SAME_MOMENT_S = 0.02
# Of a recording so many pictures a second are looked at, and so many views are kept: more only take time.
LOOK_HZ = 4.0
KEPT = 40
# Edges wider than this and twice the sharpest quarter are a motion, or out of focus.
BLUR_PX = 4.0
Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Found:
    """Views in which the board was seen. size: (width, height). looked: pictures; dropped: without joints or cut off.

    info: the CameraInfo of a bag, None where there is none. why: the reason of the last picture without a board.
    """

    views: tuple[View, ...]
    size: tuple[int, int]
    looked: int
    dropped: int = 0
    info: Any = None

    @property
    def corners(self) -> list[Corners]:
        return [view.corners for view in self.views]

    @property
    def names(self) -> list[str]:
        return [view.name for view in self.views]


def from_pictures(
    folder: Path, board: Board, joints: Sequence[str] = (), progress: Progress = print, *, pictures: bool = False
) -> Found:
    """Views of a folder of pictures of one size; with `joints`, `joints.csv` beside them has their values.

    Its first line is `image` and joint names; then one line a picture. pictures: views keep them, and depth in mm from
    `depth/` under the same name. Raises EmmaError.
    """
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in PICTURES) if folder.is_dir() else []
    if not files:
        raise EmmaError(f"no pictures in {folder}", found="none", expected=", ".join(PICTURES))
    known = _joint_table(folder / JOINTS, joints) if joints else {}
    missing = [file.name for file in files if joints and file.name not in known]
    if missing:
        raise EmmaError(
            f"{folder / JOINTS} lacks pictures",
            found=", ".join(missing[:6]),
            expected="one line for every picture",
            fix="add the joints of these pictures, or move the pictures elsewhere",
        )
    detector, views, size, blank = Detector(board), [], None, None
    for number, file in enumerate(files, 1):
        image = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        if image is None:
            raise EmmaError(f"{file} is no picture that can be read", found=f"{file.stat().st_size} bytes")
        here = (image.shape[1], image.shape[0])
        if size is not None and here != size:
            raise EmmaError(
                f"{file} has another size",
                found=f"{here[0]} x {here[1]}",
                expected=f"{size[0]} x {size[1]}, as {files[0].name}",
                fix="calibrate each resolution apart",
            )
        size = here
        corners = detector.find(image)
        if corners is None:
            blank = image
        else:
            values = known.get(file.name, np.zeros(0))
            view = View(name=file.name, corners=corners, joints=values)
            if pictures:
                depth = cv2.imread(str(folder / DEPTH / file.name), cv2.IMREAD_UNCHANGED)
                fits = depth is not None and depth.shape == image.shape and depth.dtype == np.uint16
                view = replace(view, picture=image, depth_mm=depth if fits else None)
            views.append(view)
        if number % 10 == 0:
            progress(f"{number} of {len(files)} pictures, board in {len(views)}")
    assert size is not None
    if not views and blank is not None:
        raise explain(blank, board)
    return Found(views=tuple(views), size=size, looked=len(files))


def from_bag(
    path: Path,
    spec: RobotSpec,
    camera: Camera,
    board: Board,
    joints: Sequence[str] = (),
    progress: Progress = print,
    *,
    pictures: bool = False,
    depth: bool = False,
) -> Found:
    """Views of a recording, those that are sharp and differ most; with `joints`, on the track of these joints.

    pictures: views keep them; depth: they keep the depth of their moment, and the recording must have the topic.
    """
    with Bag(path) as bag:
        needed = [camera.image_topic, *JointReader(spec, joints).topics]
        needed += [depth_topic(camera)] if depth else []
        lacking = [topic for topic in needed if topic not in bag.topics]
        if lacking:
            raise EmmaError(
                f"{path} lacks {', '.join(lacking)}",
                found=", ".join(bag.topics) or "no topics",
                expected=f"the topics of robot {spec.name}",
                fix="record with this robot, or correct the topics in robot.yaml",
            )
        track = track_of(bag, spec, joints) if joints else None
        views, looked, dropped, blank = [], 0, 0, None
        positions: dict[str, int] = {}
        detector = Detector(board)
        for position, stamp_s in spaced(bag, camera.image_topic):
            looked += 1
            if track is not None and not covered(track, stamp_s):
                dropped += 1
                continue
            image = decode_image(bag.message(position), camera)
            corners = detector.find(image)
            if corners is None:
                blank = image
            else:
                values = np.zeros(0) if track is None else track.lines(np.array([stamp_s]))[0][0]
                name = f"{looked:04d} at {stamp_s:.2f} s"
                positions[name] = position
                views.append(View(name=name, corners=corners, joints=values, time_s=stamp_s, track=track))
            if looked % 20 == 0:
                progress(f"{looked} pictures, board in {len(views)}")
        info = first_message(bag, camera.info_topic)
        chosen = varied(views, KEPT)
        if pictures:
            images = (as_gray(decode_image(bag.message(positions[view.name]), camera)) for view in chosen)
            chosen = [replace(view, picture=image) for view, image in zip(chosen, images, strict=True)]
        if depth:
            chosen = with_depth(bag, camera, chosen)
    if looked and dropped > looked / 2:
        raise EmmaError(
            f"most pictures of {camera.image_topic} have no joint state at their time",
            found=f"{dropped} of {looked} pictures without a state within {GAP_S:g} s",
            expected="joint states for the whole recording, on the same clock",
            fix="record both with the same clock, and see `emma episodes info` for gaps",
        )
    if not views and blank is not None:
        raise explain(blank, board)
    size = (camera.width, camera.height)
    return Found(views=tuple(chosen), size=size, looked=looked, dropped=dropped, info=info)


def depth_topic(camera: Camera) -> str:
    """Where a camera's depth comes. Raises EmmaError for one without."""
    if camera.depth_topic is None:
        raise EmmaError(
            f"camera {camera.name} has no depth",
            found="no depth_topic in robot.yaml",
            expected="the topic of its depth pictures",
            fix="add depth_topic to the camera, with depth registered to colour",
        )
    return camera.depth_topic


def with_depth(bag: Bag, camera: Camera, views: Sequence[View]) -> list[View]:
    """The views whose moment has a depth picture, with it."""
    positions = bag.index.of(bag.topics[depth_topic(camera)].number)
    stamps = _stamps_s(bag, positions)
    out = []
    for view in views:
        nearest = int(np.abs(stamps - view.time_s).argmin()) if len(stamps) else -1
        if nearest >= 0 and abs(stamps[nearest] - view.time_s) <= SAME_MOMENT_S:
            message = bag.message(int(positions[nearest]))
            out.append(replace(view, depth_mm=decode_depth(message, camera)))
    return out


def varied(views: Sequence[View], count: int) -> list[View]:
    """At most `count` views, sharp ones that differ most in place, size and tilt, in their order (farthest points)."""
    if not views:
        return []
    blur = np.array([view.corners.blur_px for view in views])
    sharp = blur <= max(BLUR_PX, 2 * float(np.percentile(blur, 25)))
    views = [view for view, good in zip(views, sharp, strict=True) if good]
    if len(views) <= count:
        return list(views)
    features = np.stack([_shape(view) for view in views])
    features = (features - features.mean(0)) / np.maximum(features.std(0), 1e-9)
    chosen = [int(np.linalg.norm(features, axis=1).argmax())]
    distance = np.linalg.norm(features - features[chosen[0]], axis=1)
    while len(chosen) < count:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(features - features[chosen[-1]], axis=1))
    return [views[i] for i in sorted(chosen)]


def _shape(view: View) -> np.ndarray:
    """(F,): where the board is in the picture and how it is seen, by the affinity that explains it, and the joints."""
    flat = np.column_stack([view.corners.points[:, :2], np.ones(len(view.corners))])
    affine, *_ = np.linalg.lstsq(flat, view.corners.pixels, rcond=None)
    return np.concatenate([affine[:2].reshape(-1), view.corners.pixels.mean(0), view.joints])


def spaced(bag: Bag, topic: str) -> Iterator[tuple[int, float]]:
    """Positions and stamps (s) of a topic's messages, at most `LOOK_HZ` a second, in the order of their stamps."""
    index = bag.index
    positions = index.of(bag.topics[topic].number)
    stamps = _stamps_s(bag, positions)
    last = -np.inf
    for i in np.argsort(stamps, kind="stable"):
        if stamps[i] - last >= 0.999 / LOOK_HZ:
            last = float(stamps[i])
            yield int(positions[i]), last


def _stamps_s(bag: Bag, positions: np.ndarray) -> np.ndarray:
    """(N,) seconds since the bag began, by header stamps where all have one, else by the time of receipt."""
    index = bag.index
    stamped = index.stamped[positions].all() and (index.stamp_ns[positions] > 0).all()
    chosen = index.stamp_ns if stamped else index.log_ns
    return np.asarray((chosen[positions] - int(index.log_ns.min())) / 1e9, np.float64)


def track_of(bag: Bag, spec: RobotSpec, joints: Sequence[str]) -> Track:
    """The way of some joints through a bag, each with its newest position. Raises EmmaError where one never comes."""
    reader = JointReader(spec, joints)
    parts = [(topic, bag.index.of(bag.topics[topic].number)) for topic in reader.topics]
    found = [(stamp, topic, int(i)) for topic, at in parts for stamp, i in zip(_stamps_s(bag, at), at, strict=True)]
    for stamp, topic, position in sorted(found):
        reader.push(topic, bag.message(position), float(stamp))
    if not reader.ready:
        raise EmmaError(
            f"{', '.join(reader.topics)} lacks joints of the arm",
            found=", ".join(sorted(reader.heard)) or "no joints",
            expected=", ".join(spec.message_name(name) for name in joints),
            fix="check the joint names of robot.yaml against the driver's",
        )
    return reader.track()


def covered(track: Track, time_s: float) -> bool:
    """Whether readings lie close before and after a time."""
    at = int(np.searchsorted(track.times_s, time_s))
    near = track.times_s[max(0, at - 1) : at + 1]
    return bool(len(near)) and float(np.abs(near - time_s).max()) <= GAP_S and len(near) == 2


def first_message(bag: Bag, topic: str | None) -> Any:
    """The first message of a topic, None where there is none."""
    if topic is None or topic not in bag.topics:
        return None
    positions = bag.index.of(bag.topics[topic].number)
    return bag.message(int(positions[0])) if len(positions) else None


def _joint_table(file: Path, joints: Iterable[str]) -> dict[str, np.ndarray]:
    try:
        with file.open(newline="") as text:
            rows = list(csv.DictReader(text))
    except (OSError, UnicodeDecodeError) as error:
        raise EmmaError(f"cannot read {file}", found=str(error), expected=f"image,{','.join(joints)}") from None
    wanted = ["image", *joints]
    lacking = [name for name in wanted if not rows or name not in rows[0]]
    if lacking:
        raise EmmaError(f"{file} lacks columns", found=f"no {', '.join(lacking)}", expected=", ".join(wanted))
    table = {}
    for number, row in enumerate(rows, 2):
        try:
            values = np.array([float(row[name]) for name in joints])
        except (TypeError, ValueError):
            values = np.array([np.nan])
        if not np.isfinite(values).all():
            raise EmmaError(f"{file}, line {number}: joints that are no numbers", found=str(row), expected="numbers")
        table[row["image"]] = values
    return table
