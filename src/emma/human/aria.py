"""Aria MPS: hand landmarks in the device frame, the device's trajectory, and a rectified video.

One folder a recording: `hand_tracking/hand_tracking_results.csv`, `slam/closed_loop_trajectory.csv`, `video.mp4`,
`video_timestamps.csv` (column `timestamp_ns` or `timestamp_us`) and `camera.yaml` (intrinsics fx fy cx cy of the
rectified video, device_from_camera 4x4, instruction), which come from the recording's calibration.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from scipy.spatial.transform import Rotation, Slerp

from emma.errors import EmmaError
from emma.human.recording import Recording
from emma.human.video import video_facts

FORMAT = "aria"
HANDS = "hand_tracking/hand_tracking_results.csv"
OLD_HANDS = "hand_tracking/wrist_and_palm_poses.csv"
TRAJECTORY = "slam/closed_loop_trajectory.csv"
# Landmark number of each point in `hand_frame.POINTS`; the base of the thumb is not tracked.
LANDMARKS = (5, -1, 6, 7, 0, 8, 9, 10, 1, 11, 12, 13, 2, 14, 15, 16, 3, 17, 18, 19, 4)


def read_aria(folder: Path) -> Recording:
    """Raises EmmaError for the older generation (no knuckles), missing files or columns, and times that do not meet."""
    if not (folder / HANDS).is_file() and (folder / OLD_HANDS).is_file():
        raise EmmaError(
            f"{folder} has wrist and palm poses only",
            found=OLD_HANDS,
            expected=f"{HANDS} with 21 landmarks",
            fix="request the hand tracking of this recording from MPS again",
        )
    hands, path = _read(folder / HANDS), folder / TRAJECTORY
    trajectory = _read(path)
    pose_names = [f"{part}_world_device" for part in ("tx", "ty", "tz", "qx", "qy", "qz", "qw")]
    at = _take(trajectory, ["tracking_timestamp_us"], path)[:, 0]
    device = _take(trajectory, pose_names, path)
    stamps = _take(hands, ["tracking_timestamp_us"], folder / HANDS)[:, 0]
    inside = (stamps >= at[0]) & (stamps <= at[-1])
    if inside.sum() < 2:
        raise EmmaError(
            f"{folder}: hands and trajectory share no time",
            found=f"hands {stamps[0]:.0f} to {stamps[-1]:.0f} us, trajectory {at[0]:.0f} to {at[-1]:.0f} us",
            expected="files of one recording",
        )
    hands, stamps = hands[inside], stamps[inside]
    world_device = np.tile(np.eye(4), (len(stamps), 1, 1))
    world_device[:, :3, :3] = Slerp(at, Rotation.from_quat(device[:, 3:]))(stamps).as_matrix()
    world_device[:, :3, 3] = np.stack([np.interp(stamps, at, device[:, i]) for i in range(3)], axis=1)
    points, confidence = {}, {}
    for side in ("left", "right"):
        known = [number for number in LANDMARKS if number >= 0]
        names = [f"t{axis}_{side}_landmark_{number}_device" for number in known for axis in "xyz"]
        local = np.full((len(stamps), 21, 3), np.nan)
        local[:, np.array(LANDMARKS) >= 0] = _take(hands, names, folder / HANDS).reshape(len(stamps), -1, 3)
        confidence[side] = _take(hands, [f"{side}_tracking_confidence"], folder / HANDS)[:, 0]
        local[~(confidence[side] >= 0)] = np.nan
        points[side] = local @ np.swapaxes(world_device[:, :3, :3], 1, 2) + world_device[:, None, :3, 3]
    matrix, device_camera, instruction = _camera(folder / "camera.yaml")
    video = folder / "video.mp4"
    facts, frame_times = video_facts(video), _frame_times(folder / "video_timestamps.csv")
    if len(frame_times) != len(facts.times_s):
        raise EmmaError(
            f"{folder}: video and its timestamps differ in length",
            found=f"{len(facts.times_s)} frames, {len(frame_times)} timestamps",
            expected="one timestamp for each frame",
        )
    return Recording(
        format=FORMAT,
        files=(folder / HANDS, folder / TRAJECTORY, folder / "camera.yaml", folder / "video_timestamps.csv", video),
        instruction=instruction,
        times_s=(stamps - stamps[0]) / 1e6,
        points=points,
        confidence=confidence,
        camera=world_device @ device_camera,
        intrinsics=matrix,
        video=video,
        video_size=facts.size,
        video_times_s=(frame_times - stamps[0]) / 1e6,
    )


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise EmmaError(f"cannot read {path}", found=str(error), expected="a CSV file of Aria MPS") from None


def _take(table: pd.DataFrame, names: list[str], path: Path) -> np.ndarray:
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise EmmaError(f"{path} lacks columns", found=f"no {', '.join(missing[:4])}", expected="columns of Aria MPS")
    return table[names].to_numpy(np.float64)


def _frame_times(path: Path) -> np.ndarray:
    table = _read(path)
    for name, scale in (("timestamp_us", 1.0), ("timestamp_ns", 1e-3)):
        if name in table.columns:
            return table[name].to_numpy(np.float64) * scale
    raise EmmaError(f"{path} lacks times", found=list(table.columns), expected="timestamp_us or timestamp_ns")


def _camera(path: Path) -> tuple[np.ndarray, np.ndarray, str]:
    try:
        raw = yaml.safe_load(path.read_text())
        fx, fy, cx, cy = map(float, raw["intrinsics"])
        pose = np.array(raw["device_from_camera"], np.float64).reshape(4, 4)
        instruction = str(raw.get("instruction", ""))
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise EmmaError(
            f"{path} gives no camera",
            found=f"{type(error).__name__}: {error}",
            expected="intrinsics: [fx, fy, cx, cy] and device_from_camera: a 4x4 matrix",
            fix="write it from the recording's calibration",
        ) from None
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]), pose, instruction
