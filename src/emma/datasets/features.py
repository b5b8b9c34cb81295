"""The features of our datasets: names, types and shapes as LeRobotDataset v3 spells them."""

from collections.abc import Iterable, Mapping
from typing import Any

from emma.datasets.video import video_info
from emma.errors import EmmaError
from emma.robots.spec import RobotSpec

STATE = "observation.state"
ACTION = "action"
IMAGES = "observation.images."
DEPTH = "observation.depth."
# Which pixels are the robot's own: any that is not black. Nothing here writes it; datasets of others may have it.
MASK = "observation.mask."

# LeRobot adds these to every dataset by itself (lerobot.utils.constants.DEFAULT_FEATURES).
INDEXES = ("timestamp", "frame_index", "episode_index", "index", "task_index")


def dataset_features(
    spec: RobotSpec, cameras: Iterable[str] | None = None, depth: bool = True, video: bool = False
) -> dict[str, dict[str, Any]]:
    """Features of a dataset of `spec`: state and action (J,) float32, images (H, W, 3), depth (H, W, 1) uint16 mm.

    Depth is what LeRobot calls a depth map stored as image: 16-bit grey, lossless, with its unit in the feature.
    Cameras without a depth topic have no depth feature. video: colour as lossy video, a hundredth of the size.
    """
    names = list(spec.joint_names)
    vector = {"dtype": "float32", "shape": (len(names),), "names": names}
    features: dict[str, dict[str, Any]] = {STATE: dict(vector), ACTION: dict(vector)}
    chosen = [spec.camera(name) for name in (spec.camera_names if cameras is None else cameras)]
    for camera in chosen:
        feature = _image(camera.height, camera.width, 3)
        if video:
            feature |= {"dtype": "video", "info": video_info(camera.height, camera.width, spec.fps)}
        features[IMAGES + camera.name] = feature
    for camera in chosen:
        if depth and camera.depth_topic:
            feature = _image(camera.height, camera.width, 1)
            feature["info"] = {"is_depth_map": True, "depth_unit": "mm"}
            features[DEPTH + camera.name] = feature
    return features


def _image(height: int, width: int, channels: int) -> dict[str, Any]:
    return {"dtype": "image", "shape": (height, width, channels), "names": ["height", "width", "channels"]}


def require_same(there: Mapping[str, dict[str, Any]], wanted: Mapping[str, dict[str, Any]], where: object) -> None:
    """Raise EmmaError that names every difference between a dataset's features and the wanted ones."""
    differences = []
    for key in sorted({*there, *wanted} - set(INDEXES)):
        if key not in there:
            differences.append(f"{key} is not in the dataset")
        elif key not in wanted:
            differences.append(f"{key} is only in the dataset")
        else:
            for part in ("dtype", "shape", "names"):
                old, new = _plain(there[key].get(part)), _plain(wanted[key].get(part))
                if old != new:
                    differences.append(f"{key}: {part} {old} in the dataset, {new} wanted")
    if differences:
        raise EmmaError(
            f"{where} holds a dataset with other features",
            found="; ".join(differences),
            expected="the same robot, cameras and joints",
            fix="choose another folder, or the robot and cameras of this dataset",
        )


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple | list) else value
