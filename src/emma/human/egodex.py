"""EgoDex: `task/N.hdf5` with ARKit transforms in the world, `N.mp4` beside it; frame i of the video is pose i."""

from pathlib import Path
from typing import Any

import numpy as np

from emma.errors import EmmaError
from emma.human.recording import Recording
from emma.human.video import video_facts

FORMAT = "egodex"
SUFFIXES = (".hdf5", ".h5")
# The file may lack the last pose of a video, or have one more.
LENGTH_TOLERANCE = 1
FINGERS = ("Index", "Middle", "Ring", "Little")


def joint_names(side: str) -> list[str]:
    """The names of the 21 points in `hand_frame.POINTS`' order."""
    thumb = [f"{side}Thumb{part}" for part in ("Knuckle", "IntermediateBase", "IntermediateTip", "Tip")]
    parts = ("Knuckle", "IntermediateBase", "IntermediateTip", "Tip")
    return [f"{side}Hand", *thumb, *(f"{side}{finger}Finger{part}" for finger in FINGERS for part in parts)]


def read_egodex(path: Path) -> Recording:
    """Raises EmmaError for a missing library, a broken file, missing joints, and lengths that differ."""
    try:
        import h5py
    except ImportError:
        raise EmmaError(
            "EgoDex files need h5py", found="no module h5py", expected="h5py", fix="pip install 'emma-robot[human]'"
        ) from None
    video = path.with_suffix(".mp4")
    facts = video_facts(video)
    try:
        with h5py.File(path) as file:
            transforms = file["transforms"]
            points = {
                side: np.stack([transforms[name][:, :3, 3] for name in joint_names(side)], axis=1).astype(np.float64)
                for side in ("left", "right")
            }
            camera = np.asarray(transforms["camera"], np.float64)
            intrinsics = np.asarray(file["camera/intrinsic"], np.float64)
            confidences = file.get("confidences")
            confidence = {
                side: np.asarray(confidences[f"{side}Hand"], np.float64)
                for side in points
                if confidences is not None and f"{side}Hand" in confidences
            }
            instruction = _text(dict(file.attrs))
    except (OSError, KeyError, ValueError, IndexError, TypeError) as error:
        raise EmmaError(
            f"{path} is no whole EgoDex file",
            found=f"{type(error).__name__}: {error}",
            expected="camera/intrinsic and transforms/ with the camera and both hands",
            fix="download or copy it again",
        ) from None
    count, frames = len(camera), len(facts.times_s)
    if abs(count - frames) > LENGTH_TOLERANCE:
        raise EmmaError(
            f"{path}: poses and video differ in length",
            found=f"{count} poses, {frames} frames in {video.name}",
            expected="one pose for each frame",
            fix="use the video that belongs to this file, uncut",
        )
    rows = min(count, frames)
    return Recording(
        format=FORMAT,
        files=(path, video),
        instruction=instruction,
        times_s=facts.times_s[:rows],
        points={side: values[:rows] for side, values in points.items()},
        confidence={side: values[:rows] for side, values in confidence.items()},
        camera=camera[:rows],
        intrinsics=intrinsics,
        video=video,
        video_size=facts.size,
        video_times_s=facts.times_s,
    )


def _text(attributes: dict[str, Any]) -> str:
    """The task's words. A reversible task has two descriptions, and the file says which one it shows."""
    second = str(attributes.get("llm_type", "")) == "reversible" and str(
        attributes.get("which_llm_description", "1")
    ).startswith("2")
    names = ("llm_description2", "llm_description") if second else ("llm_description", "description")
    for name in (*names, "description"):
        value = attributes.get(name)
        text = value.decode() if isinstance(value, bytes) else value
        if isinstance(text, str) and text.strip():
            return text.strip()
    return ""
