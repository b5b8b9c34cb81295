"""`emma calibrate check --outline`: a recording of the moving arm against what the calibration expects."""

from pathlib import Path

import cv2
import numpy as np

from emma.bags.reader import Bag
from emma.calibrate.camera_info import check_same, of_message
from emma.calibrate.check_result import FOLDER, CheckResult, save_check
from emma.calibrate.detect import as_gray
from emma.calibrate.files import load_intrinsics, mount_of
from emma.calibrate.gather import covered, first_message, spaced, track_of
from emma.calibrate.outline import Outline
from emma.calibrate.record import now
from emma.errors import EmmaError
from emma.messages import decode_image
from emma.robots.spec import RobotSpec

PICTURES = 12


def check_outline(spec: RobotSpec, camera: str, folder: Path, bag_path: Path) -> CheckResult:
    """Compare, and keep the result and a picture in `checks/`. Raises EmmaError, also for a camera on the hand."""
    known = mount_of(folder, camera)
    if known is None or known[0] != "base":
        raise EmmaError(
            f"camera {camera} cannot be checked by the robot's outline",
            found="no calibration" if known is None else f"a camera on {known[0]}",
            expected="a fixed camera with an entry in extrinsics.yaml",
            fix="check a camera on the hand with a board",
        )
    outline = Outline(spec)
    pictures, states, info = _moments(spec, camera, bag_path)
    size = (spec.camera(camera).width, spec.camera(camera).height)
    published = None if info is None else of_message(info)
    lens = load_intrinsics(folder, camera, size) or published
    if lens is None:
        raise EmmaError(
            f"the intrinsics of camera {camera} are not known",
            found=f"no {folder / camera}.yaml, and no CameraInfo",
            expected="a calibrated camera",
            fix=f"run `emma calibrate camera {camera}` first",
        )
    check_same(lens, published, f"{camera}.yaml")
    found = outline.compare(pictures, states, lens, known[1])
    picture = Path(FOLDER) / f"{camera}.png"
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / picture), cv2.cvtColor(found.picture, cv2.COLOR_RGB2BGR))
    result = CheckResult(
        camera=camera,
        how="outline",
        date=now(),
        views=len(pictures),
        error_px=found.error_px,
        error_mm=found.error_mm,
        picture=str(picture),
    )
    save_check(folder, result)
    return result


def _moments(spec: RobotSpec, camera: str, path: Path) -> tuple[list[np.ndarray], np.ndarray, object]:
    """Grey pictures in which the joints differ most, with all joints (N, J) of their moments, and the CameraInfo."""
    stream = spec.camera(camera)
    with Bag(path) as bag:
        topics = (stream.image_topic, *(state.topic for state in spec.state_topics))
        lacking = [topic for topic in topics if topic not in bag.topics]
        if lacking:
            raise EmmaError(
                f"{path} lacks {', '.join(lacking)}",
                found=", ".join(bag.topics) or "no topics",
                expected=f"the topics of robot {spec.name}",
                fix="record with this robot",
            )
        track = track_of(bag, spec, spec.joint_names)
        moments = [(position, stamp) for position, stamp in spaced(bag, stream.image_topic) if covered(track, stamp)]
        if not moments:
            return [], np.zeros((0, len(spec.joints))), None
        states = track.lines(np.array([stamp for _, stamp in moments]))[0]
        chosen = _different(states, PICTURES)
        pictures = [as_gray(decode_image(bag.message(moments[i][0]), stream)) for i in chosen]
        return pictures, states[chosen], first_message(bag, stream.info_topic)


def _different(states: np.ndarray, count: int) -> list[int]:
    """Indices of at most `count` rows that lie far from each other."""
    scaled = states / np.maximum(np.ptp(states, axis=0), 1e-3)
    chosen, distance = [0], np.linalg.norm(scaled - scaled[0], axis=1)
    while len(chosen) < min(count, len(states)):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(scaled - scaled[chosen[-1]], axis=1))
    return sorted(set(chosen))
