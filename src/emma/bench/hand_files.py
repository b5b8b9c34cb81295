"""Episodes of the simulated hand as EgoDex files, with what trackers and cameras get wrong."""

from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from scipy.signal import lfilter
from scipy.spatial.transform import Rotation

from emma.human.egodex import joint_names
from emma.human.hand_frame import WRIST
from emma.sim.hand import VIDEO_HZ, HandEpisode

# A hand that the format requires and that was not seen.
FAR_AWAY = (0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Tracker:
    """position_m, rotation_rad: standard deviations of the whole hand's pose; finger_m: of each keypoint; smooth_s: how
    long an error lasts; dropout_hz, dropout_s: how often the hand is lost, and for how long at most; blur: whether
    frames of fast motion are blurred."""

    position_m: float = 0.005
    rotation_rad: float = float(np.deg2rad(3.0))
    finger_m: float = 0.001
    smooth_s: float = 0.3
    dropout_hz: float = 0.2
    dropout_s: float = 0.3
    blur: bool = True


EXACT = Tracker(position_m=0.0, rotation_rad=0.0, finger_m=0.0, dropout_hz=0.0, blur=False)


def write_egodex(
    path: Path, episode: HandEpisode, tracker: Tracker, seed: int = 0, size: tuple[int, int] | None = None
) -> Path:
    """Write `path` (.hdf5) with its video beside it; size: (width, height) of the video, as drawn if None."""
    import h5py

    rng = np.random.default_rng([seed, episode.seed])
    points, confidence = _track(episode, tracker, rng)
    height, width = episode.images[0].shape[:2]
    wanted = size or (width, height)
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_video(path.with_suffix(".mp4"), episode, tracker, wanted)
    scale = np.array([[wanted[0] / width], [wanted[1] / height], [1.0]])
    with h5py.File(path, "w") as file:
        file["camera/intrinsic"] = episode.intrinsics * scale
        file["transforms/camera"] = episode.camera
        for side in ("left", "right"):
            mine = side == episode.side
            for number, name in enumerate(joint_names(side)):
                poses = np.tile(np.eye(4), (len(points), 1, 1))
                poses[:, :3, 3] = points[:, number] if mine else FAR_AWAY
                file[f"transforms/{name}"] = poses
                file[f"confidences/{name}"] = confidence if mine else np.zeros(len(points))
        file.attrs["llm_description"] = episode.instruction
    return path


def _track(episode: HandEpisode, tracker: Tracker, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(N, 21, 3) keypoints as tracked, and (N,) confidences."""
    count = len(episode.points)
    drift = _smooth(rng, count, 6, tracker.smooth_s * VIDEO_HZ)
    turns = Rotation.from_rotvec(drift[:, 3:] * tracker.rotation_rad).as_matrix()
    wrist = episode.points[:, WRIST, None]
    points = np.einsum("nij,npj->npi", turns, episode.points - wrist) + wrist
    points += tracker.position_m * drift[:, None, :3] + rng.normal(0, 1, points.shape) * tracker.finger_m
    confidence = np.full(count, 0.95)
    for start in np.flatnonzero(rng.random(count) < tracker.dropout_hz / VIDEO_HZ):
        confidence[start : start + 1 + int(rng.uniform(0, tracker.dropout_s) * VIDEO_HZ)] = 0.1
    return points, confidence


def _smooth(rng: np.random.Generator, count: int, width: int, steps: float) -> np.ndarray:
    """(N, width) noise of deviation 1 that lasts for `steps`."""
    keep = np.exp(-1.0 / max(steps, 1e-3))
    start = rng.normal(size=width)
    noise = rng.normal(size=(count, width)) * np.sqrt(1 - keep**2)
    return np.asarray(lfilter([1.0], [1.0, -keep], noise, axis=0, zi=(keep * start)[None])[0])


def _write_video(path: Path, episode: HandEpisode, tracker: Tracker, size: tuple[int, int]) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", round(VIDEO_HZ), options={"preset": "ultrafast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = size[0], size[1], "yuv420p"
        before = episode.images[0]
        for image in episode.images:
            seen = cv2.addWeighted(image, 0.6, before, 0.4, 0) if tracker.blur else image
            before = image
            if size != (image.shape[1], image.shape[0]):
                seen = cv2.resize(seen, size, interpolation=cv2.INTER_LINEAR)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(seen), format="rgb24")))
        container.mux(stream.encode(None))
